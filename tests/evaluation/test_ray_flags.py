"""The flags of shared evaluations, without Ray."""

import os
import socket
import sys

import pytest
from command_runs import parse

from dgl.cli.evaluate_run import run
from dgl.errors import UserError
from dgl.evaluation.ray_workers import _check_answers, _reason


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--ray-workers 0", r"^--ray-workers 0: expected a value in \[1, 4096\]"),
        ("--ray-workers 2 --ray-cpus 0", "^--ray-cpus 0.0: expected a value"),
        ("--ray-workers 2 --ray-gpus -1", "^--ray-gpus -1.0: expected a value"),
        ("--ray-address auto", "^--ray-address auto: expected --ray-workers with it"),
        ("--ray-cpus 1", "^--ray-cpus 1.0: expected --ray-workers with it"),
        ("--ray-gpus 0", "^--ray-gpus 0.0: expected --ray-workers with it"),
        ("--ray-workers 2 --merge x", "^--ray-workers 2: expected neither --maps nor --merge"),
        ("--ray-workers 2 --maps x", "^--ray-workers 2: expected neither --maps nor --merge"),
        ("--ray-workers 2 --gpu x", "^--gpu x: expected indices like"),
        ("--ray-workers 2 --gpu 0 --ray-address a:1", "^--gpu 0: expected -1 or nothing"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(folder, tmp_path, flags, message):
    with pytest.raises(UserError, match=message):
        run(parse(folder, "--out", tmp_path / "out", *flags.split()))
    assert not (tmp_path / "out").exists()


def test_without_ray_it_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(UserError, match="^--ray-workers: expected Ray, `pip install .*`$"):
        run(parse(folder, "--out", tmp_path / "out", "--ray-workers", 2))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "message, reason",
    [
        (
            "The actor died.\n\tpid: 3\nIts process has died. Worker exit type: X\n",
            "Its process has died",
        ),
        ("", "ValueError"),
        ("x" * 500, "x" * 160),
    ],
)
def test_long_messages_become_a_line(message, reason):
    assert _reason(ValueError(message)) == reason


def test_an_address_where_nothing_answers_is_named_at_once():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(UserError, match=f"^--ray-address {address}: nothing answers"):
            _check_answers(address)
        bound.listen(1)
        _check_answers(address)
    for looked_up in ("auto", "ray://head:10001"):
        _check_answers(looked_up)
    with pytest.raises(UserError, match="^--ray-address 127.0.0.1:99999999: nothing answers"):
        _check_answers("127.0.0.1:99999999")
