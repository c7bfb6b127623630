"""Every test that the page on security names exists, and every claim names one."""

import ast
import os
import re

import pytest

_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def claims(root):
    with open(os.path.join(root, "docs", "security.md"), encoding="utf-8") as stream:
        table = stream.read().partition("## Claims")[2].partition("## Limits")[0]
    return [line for line in table.split("\n") if line.startswith("| **")]


def test_every_claim_names_a_test(root):
    found = claims(root)
    assert len(found) >= 10
    for claim in found:
        assert _TEST.search(claim.rpartition(" | ")[2]), claim


def test_every_named_test_exists(root):
    named = [match for claim in claims(root) for match in _TEST.findall(claim)]
    assert len(named) >= 20
    for path, name in named:
        with open(os.path.join(root, path), encoding="utf-8") as stream:
            tree = ast.parse(stream.read())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert (name in names) if name else any(n.startswith("test_") for n in names), (path, name)


@pytest.mark.parametrize("page", ["scaling.md", "robustness.md"])
def test_pages_that_it_leads_to(root, page):
    assert os.path.isfile(os.path.join(root, "docs", page))
