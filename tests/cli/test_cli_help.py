"""Help: every subcommand's is complete, its examples parse, and none waits for TensorFlow."""

import argparse
import subprocess
import sys

import pytest
from cli_runs import ROOT, argv_of, dgl

import dgl as package
from dgl.attribution import METHODS
from dgl.backbones import BACKBONES
from dgl.cli.localize_flags import METHOD_NAMES
from dgl.cli.parser import COMMANDS, main, make_parser

NAMES = [
    "train",
    "localize",
    "evaluate",
    "study",
    "convert",
    "export",
    "make-data",
    "serve",
    "layers",
    "info",
]


def parsers(parser=None, words=()):
    """(words, parser) of the command and of all subcommands."""
    parser = parser or make_parser()
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, own in action.choices.items():
                yield from parsers(own, words + (name,))


ALL = dict(parsers())


def test_the_subcommands():
    assert [command.NAME for command in COMMANDS] == NAMES
    assert {("make-data", "birds"), ("make-data", "photos5")} < set(ALL)


@pytest.mark.parametrize("words", sorted(ALL), ids="-".join)
def test_every_help_says_what_how_and_by_which_examples(words):
    done = dgl(*words + ("--help",))
    assert (done.code, done.err) == (0, "")
    usage, rest = done.out.split("\n\n", 1)
    assert usage.startswith("usage: " + " ".join(("dgl",) + words))
    assert rest.split("\n\n")[0].endswith(".")
    examples = done.out.split("\nexamples:\n")[1].split("\n\n")[0].splitlines()
    assert examples
    for example in examples:
        if "COMMAND" not in example:
            make_parser().parse_args(argv_of(example.strip()))


@pytest.mark.parametrize("words", sorted(ALL), ids="-".join)
def test_every_flag_is_explained(words):
    for action in ALL[words]._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, action


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.NAME)
def test_a_subcommand_parsed_alone_has_the_same_flags(command):
    texts = set()
    for only in (None, command.NAME):
        (own,) = (p for words, p in parsers(make_parser(only)) if words == (command.NAME,))
        texts.add(own.format_help())
    assert len(texts) == 1


def test_defaults_are_shown_where_there_are_any():
    text = " ".join(ALL[("localize",)].format_help().split())
    assert "fraction of the map's maximum (default: 0.2)" in text
    assert "None" not in text and "False" not in text
    text = " ".join(ALL[("evaluate",)].format_help().split())
    assert "(default: dgl cam)" in text


def test_version():
    done = dgl("--version")
    assert (done.code, done.out) == (0, f"dgl {package.__version__}\n")


def test_the_exit_codes_are_documented():
    text = dgl("--help").out
    for code in ("0", "1", "2", "130", "128 + N"):
        assert f"\n  {code:9}" in text.split("exit codes:")[1]


def test_names_written_down_for_speed_are_those_of_the_registries():
    assert set(METHOD_NAMES) == set(METHODS)
    (mode,) = (a for a in ALL[("train",)]._actions if a.dest == "mode")
    assert set(mode.choices) == set(BACKBONES)


_SILENT = """
import contextlib, io, sys
from dgl.cli.parser import make_parser, main
make_parser().format_help()
for words in (["--help"], ["train", "--nonsense"], ["localize", "--help"], ["layers", "--mode", "x"]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(words)
        except SystemExit:
            pass
print(sorted(name for name in ("tensorflow", "tensorpack", "gradio", "shtab") if name in sys.modules))
"""


def test_help_and_bad_flags_load_no_tensorflow():
    done = subprocess.run(
        [sys.executable, "-c", _SILENT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.stdout == "[]\n"


def test_the_top_level_help_makes_no_flags(monkeypatch):
    for command in COMMANDS:
        monkeypatch.setattr(command, "add_flags", lambda parser: 1 / 0)
    with pytest.raises(SystemExit):
        main(["--help"])
