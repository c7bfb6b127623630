"""How the command ends: 0, 1, 2, 130, 128 + N, and 141 where nobody reads."""

import signal
import subprocess
import sys

import pytest
from cli_runs import ROOT, dgl

from dgl.cli import parser
from dgl.errors import Stopped, UserError


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["train"],
        ["train", "--data", "d", "--mode", "alexnet"],
        ["localize", "--nonsense"],
        ["localize", "--method", "nonsense"],
        ["make-data"],
        ["make-data", "birds"],
        ["make-data", "birds", "--out", "a", "--samples", "b"],
        ["info"],
        ["export", "--load", "a"],
        ["--print-completion", "fish"],
    ],
    ids=" ".join,
)
def test_what_the_command_does_not_take_is_2(words):
    done = dgl(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: dgl") and ": error: " in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    "words, part",
    [
        (["info", "gone.npz"], "gone.npz"),
        (["layers", "--mode", "vgg", "--image_size", "8"], "--image_size 8"),
        (["localize", "gone.jpg"], "gone.jpg"),
        (["localize", "--threshold", "2"], "--threshold 2"),
        (["evaluate"], "--load"),
        (["evaluate", "--load", "gone.npz", "--data", "gone"], "gone"),
        (["study", "--tune-split", "val"], "--load"),
        (["train", "--data", "gone"], "gone"),
        (["train", "--data", "gone", "--mode", "vgg", "--laststride", "2"], "--laststride 2"),
        (["convert", "gone.pth"], "gone.pth"),
        (["fetch", "gone"], "gone"),
        (["fetch", "vgg16", "--from", "gone.npz"], "gone.npz"),
        (["export", "--load", "gone", "--out", "a.npz"], "gone"),
        (["make-data", "birds", "--out", "a", "--seed=-1"], "--seed -1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_1_with_one_line(words, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = dgl(*words)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ") and part in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error, code, text",
    [
        (UserError("why"), 1, "error: why\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (Stopped("kept", 128 + signal.SIGTERM), 143, "kept\n"),
    ],
    ids=["user error", "Ctrl-C", "SIGTERM"],
)
def test_the_other_codes(error, code, text, monkeypatch):
    def fail(args):
        raise error

    commands = [command._replace(run=fail) for command in parser.COMMANDS]
    monkeypatch.setattr(parser, "COMMANDS", commands)
    assert dgl("info", "x") == (code, "", text)


_LOUD = """
import sys
from dgl.errors import run_script
run_script(lambda argv: [print("line") for _ in range(100000)] and 0, [])
"""


def test_an_output_that_nobody_reads_is_141():
    command = [sys.executable, "-c", _LOUD]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        started.stdout.readline()
        started.stdout.close()
        error = started.stderr.read()
        assert (started.wait(), error) == (141, b"")
