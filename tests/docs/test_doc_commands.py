"""Every command of README and docs is run on stand-ins, or has its flags parsed and says what it needs."""

import os
from unittest import mock

import doc_commands
import doc_runs
import doc_stand_ins
import pytest
from doc_commands import PYTHON, SHELL, commands, pages, read
from doc_runs import PARSE, RUN, SLOW_RUN, treatment

from dgl.attribution import METHODS
from dgl.backbones import BACKBONES

pytestmark = pytest.mark.usefixtures("quick_charts")
WITH_COMMANDS = [path for path in pages() if commands(path)]


def blocks(path, kind):
    return [block for block in doc_commands.blocks(read(path)) if block.kind == kind]


# What runs on these pages takes seconds and is much alike README's; `make test-docs` runs it.
SLOW_PAGES = ("docs/get-started.md", "docs/other-models.md")


def of(path, *treatments):
    return [command for command in commands(path) if treatment(command) in treatments]


def marked(paths):
    """The pages, those that are slow with the mark of `make test-docs`."""
    return [pytest.param(p, marks=pytest.mark.docs) if p in SLOW_PAGES else p for p in paths]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    return doc_stand_ins.make_stand_ins(str(tmp_path_factory.mktemp("stand_ins")))


@pytest.fixture
def folder(stand_ins, tmp_path):
    doc_stand_ins.make_folder(str(tmp_path), stand_ins)
    return str(tmp_path)


def run_all(listed, folder):
    for command in listed:
        try:
            doc_runs.run(command, folder)
        except SystemExit as ending:  # as --help ends
            assert ending.code in (None, 0), command.place


@pytest.mark.parametrize("path", marked(p for p in WITH_COMMANDS if of(p, RUN)))
def test_commands_run(path, folder):
    run_all(of(path, RUN), folder)


@pytest.mark.docs
@pytest.mark.parametrize("path", [p for p in WITH_COMMANDS if of(p, SLOW_RUN)])
def test_slow_commands_run(path, folder):
    run_all(of(path, SLOW_RUN), folder)


@pytest.mark.parametrize("path", [p for p in WITH_COMMANDS if of(p, PARSE, SLOW_RUN)])
def test_commands_parse(path):
    for command in of(path, PARSE, SLOW_RUN):
        try:
            doc_runs.parse(command)
        except (SystemExit, Exception) as error:
            raise AssertionError(f"{command.place}: {command.text}: {error!r}") from error


@pytest.mark.parametrize("path", marked(p for p in pages() if blocks(p, PYTHON)))
def test_python_blocks(path, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for block in blocks(path, PYTHON):
        code = compile(block.text, f"{path}:{block.line}", "exec")
        if block.mark is None:
            # What a page registers is gone afterwards, for tests that follow in this process.
            with mock.patch.dict(METHODS), mock.patch.dict(BACKBONES):
                exec(code, {"__name__": "documentation"})


def test_marks_say_something_that_is_known():
    known = {need for _, need in doc_runs.NEEDS}
    known |= {"downloaded weights", "boxes of your own", "a GPU", "another environment"}
    known |= {"a folder of images", "a running server", "your own model", "a network of PyTorch"}
    for path in pages():
        for block in blocks(path, SHELL):
            if block.mark is not None:
                kind, what = block.mark
                assert what == "slow" if kind == "run" else what in known, (path, block.line)


def test_a_command_that_fails_fails(folder):
    command = commands("page.md", "    python test_code/dome_image_DGL.py --load nowhere\n")[0]
    with pytest.raises(Exception, match="no such checkpoint"):
        doc_runs.run(command, folder)
    assert os.getcwd() != folder
