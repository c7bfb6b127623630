"""docs/security.md quotes its record."""

import json
import os

import pytest

from benchmarks.survival import WORK, table


@pytest.fixture(scope="module")
def record(root):
    path = os.path.join(root, "benchmarks", "results", "survival.json")
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def test_the_page_has_the_record_s_table_and_commands(root, record):
    with open(os.path.join(root, "docs", "survival.md"), encoding="utf-8") as stream:
        page = stream.read()
    assert table(record) in page
    for name in WORK:
        assert "    " + record[name]["command"] + "\n" in page


@pytest.mark.parametrize("name", sorted(WORK))
def test_nothing_was_lost(record, name):
    figures = record[name]
    assert figures["kills"] >= 50
    assert figures["mid_run"] > 10 and figures["unfinished_files"] > 0
    assert figures["failed_resumes"] == figures["lost"] == figures["differing"] == 0
