"""Help: the same for a command parsed alone, and without TensorFlow."""

import subprocess
import sys

import pytest
from cli_runs import ROOT, dgl, ended

import dgl as package
from dgl.cli.parser import COMMANDS, make_parser


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_a_command_parsed_alone_has_the_same_flags(name):
    words = [name, "--help"]
    assert dgl(*words) == ended(lambda: make_parser().parse_args(words))


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
