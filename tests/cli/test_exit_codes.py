"""How the command ends on bad flags and bad input, and where nobody reads its output."""

import subprocess
import sys

import pytest
from cli_runs import ROOT, dgl


@pytest.mark.parametrize(
    "words",
    ["", "train", "train --data d --mode alexnet", "make-data birds"],
)
def test_what_the_command_does_not_take_is_2(words):
    done = dgl(*words.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: dgl") and ": error: " in done.err.splitlines()[-1]


@pytest.mark.parametrize("word, near", [("--treshold=1", "--threshold"), ("--zzz", "--help")])
def test_an_unknown_flag_is_2_with_the_nearest_one(word, near):
    done = dgl("localize", word)
    (line,) = done.err.splitlines()
    assert (done.code, done.out) == (2, "")
    assert line.startswith(f"error: {word}: ") and near in line


@pytest.mark.parametrize(
    "words, part",
    [
        ("info gone.npz", "error: gone.npz: "),
        ("localize --layer gone --gpu=-1", "error: --layer gone: "),
        ("localize gone.jpg", "gone.jpg"),
        ("evaluate --load gone.npz --data gone", "gone"),
        ("make-data photos5 --out a --raccoon b --kangaroo c --fruit d", "error: --"),
        ("study --tune-split val", "--load"),
        ("train --data gone", "gone"),
        ("convert gone.pth", "gone.pth"),
        ("fetch vgg16 --from gone.npz", "gone.npz"),
        ("export --load gone --out a.npz", "gone"),
    ],
)
def test_bad_input_is_1_with_one_line(words, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = dgl(*words.split())
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ") and part in line
    assert list(tmp_path.iterdir()) == []


_LOUD = """
import sys
from dgl.errors import run_script
run_script(lambda argv: [print("line") for _ in range(100000)] and 0, [])
"""


def test_an_output_that_nobody_reads_is_141():
    command, pipe = [sys.executable, "-c", _LOUD], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe) as started:
        started.stdout.readline()
        started.stdout.close()
        error = started.stderr.read()
        assert (started.wait(), error) == (141, b"")
