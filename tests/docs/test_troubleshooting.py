"""The messages on the page on troubleshooting: each is what its command says, or in the source."""

import ast
import glob
import os
import re

import doc_runs
import doc_stand_ins
import pytest
from doc_commands import _command, read

PAGE = "docs/troubleshooting.md"
_QUOTED = re.compile(r"<!-- from: ([^\n]+) -->\n\n```\n(error: [^\n]+)\n```\n")
_SOURCE = "the source"
_LEAST = 15  # letters of a message that are in the source, so that it is not any text that fits


def quoted():
    return _QUOTED.findall(read(PAGE))


def pattern_of(message):
    """A regular expression of a quoted message; ``...`` is any text."""
    return ".*".join(re.escape(part) for part in message.split("..."))


def templates(root):
    """Every text of the package that could be a message, as regular expressions by their fixed letters."""
    for path in glob.glob(os.path.join(root, "dgl", "**", "*.py"), recursive=True):
        with open(path, encoding="utf-8") as stream:
            tree = ast.parse(stream.read())
        for node in ast.walk(tree):
            text = getattr(node, "value", getattr(node, "s", None))
            if isinstance(text, str) and "{" in text and not isinstance(node, ast.Expr):
                parts = re.split(r"\{[^{}]*\}", text)
                if sum(map(len, parts)) >= _LEAST:
                    yield re.compile(".*".join(re.escape(part) for part in parts))


@pytest.fixture(scope="module")
def folder(stand_ins, tmp_path_factory):
    work = str(tmp_path_factory.mktemp("messages"))
    doc_stand_ins.make_folder(work, stand_ins)
    with open(os.path.join(work, "notes.jpg"), "w") as stream:
        stream.write("not an image")
    with open(os.path.join(work, "images", "bird_violet_fan.jpg"), "rb") as stream:
        whole = stream.read()
    with open(os.path.join(work, "half.jpg"), "wb") as stream:
        stream.write(whole[: len(whole) // 2])
    return work


def test_the_page_quotes_messages_of_both_kinds():
    commands = [command for command, _ in quoted()]
    assert len(commands) == read(PAGE).count("\nerror: ")
    assert 20 < len([command for command in commands if command != _SOURCE]) < len(commands)


@pytest.mark.parametrize("command, message", [q for q in quoted() if q[0] != _SOURCE])
def test_the_command_gives_the_message(command, message, folder):
    found = doc_runs.message_of(_command(PAGE, 1, command, None), folder)
    assert re.fullmatch(pattern_of(message), found)


@pytest.mark.parametrize("message", [q[1] for q in quoted() if q[0] == _SOURCE])
def test_the_message_is_in_the_source(message, root):
    text = message[len("error: ") :]
    assert any(template.fullmatch(text) for template in templates(root))


def test_a_message_that_is_nowhere_is_seen(root):
    assert not any(template.fullmatch("x.npz: is on holiday") for template in templates(root))
