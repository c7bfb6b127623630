"""Help: complete, with examples that parse, and without TensorFlow."""

import argparse
import shlex
import subprocess
import sys

import pytest
from cli_runs import ROOT, dgl

import dgl as package
from dgl.cli.parser import COMMANDS, make_parser


def parsers(parser, words=()):
    """(words, parser) of the command and of all subcommands."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, own in action.choices.items():
                yield from parsers(own, words + (name,))


ALL = dict(parsers(make_parser()))


@pytest.mark.parametrize("words", sorted(ALL), ids="-".join)
def test_every_help_has_a_sentence_examples_and_every_flag(words):
    done = dgl(*words + ("--help",))
    assert (done.code, done.err) == (0, "")
    usage, rest = done.out.split("\n\n", 1)
    assert usage.startswith("usage: " + " ".join(("dgl",) + words))
    assert rest.split("\n\n")[0].endswith(".")
    examples = done.out.split("\nexamples:\n")[1].split("\n\n")[0].splitlines()
    assert examples
    for example in examples:
        command, *given = shlex.split(example.partition(" > ")[0])
        assert command == "dgl"
        if "COMMAND" not in example:
            make_parser().parse_args(given)
    for action in ALL[words]._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, action


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_parsed_alone_has_the_same_flags(command):
    alone = dict(parsers(make_parser(command.name)))[command.name,]
    assert alone.format_help() == ALL[command.name,].format_help()


def test_version():
    done = dgl("--version")
    assert (done.code, done.out) == (0, f"dgl {package.__version__}\n")


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
slow = ("tensorflow", "tensorpack", "gradio", "shtab", "matplotlib")
print(sorted(name for name in slow if name in sys.modules))
"""


def test_help_and_bad_flags_load_no_tensorflow():
    command = [sys.executable, "-c", _SILENT]
    assert subprocess.check_output(command, cwd=ROOT, stderr=subprocess.STDOUT) == b"[]\n"
