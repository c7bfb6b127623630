"""Bad input through every script: exit code 0, 1 or 2, no traceback, in bounded time and memory."""

import os
import zlib

import pytest
from demo_runs import write_vgg

from . import scripts as scripts_module
from .case import GOOD
from .checkpoints import KIND as CHECKPOINTS
from .guard import SECONDS_LARGEST
from .processes import runs
from .record import SCRIPTS, chosen, run_case
from .scripts import SCRIPTS as MAINS
from .scripts import Fault, Scripts, check_end, run_main

SHARE = 400


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    import dgl.predict.predictor

    make = dgl.predict.predictor.Predictor
    yield Scripts(str(tmp_path_factory.mktemp("shared")))
    dgl.predict.predictor.Predictor = make


def _run(cases, scripts, work):
    faults, called = [], set()
    folder = os.path.join(work, "data")
    for case in cases:
        calls = [(s, scripts.call(s, argv)) for s, argv in scripts.calls(case, folder)]
        called.update(name for name, _ in calls)
        outcomes = run_case(case, calls, work, SECONDS_LARGEST)
        faults.extend((case.name, o.message or o.how) for o in outcomes if o.is_fault)
    return faults, called


def _sample():
    """The first case of every kind, and a few others."""
    kinds = set()
    for case in chosen(SCRIPTS, 1):
        if case.kind not in kinds or zlib.crc32(case.name.encode("utf-8")) % SHARE == 0:
            yield case
        kinds.add(case.kind)


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return str(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_sample_through_the_scripts(scripts, work):
    faults, called = _run(_sample(), scripts, work)
    assert not faults
    assert called == set(MAINS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_more_through_the_scripts(scripts, work):
    cases = (
        case for case in chosen(SCRIPTS, 40) if case.kind == CHECKPOINTS or case.outcome == GOOD
    )
    faults, _ = _run(cases, scripts, work)
    assert not faults


@pytest.mark.slow
def test_real_processes(tmp_path):
    load = write_vgg(tmp_path)
    found = list(runs(str(tmp_path / "w"), load, many=False))
    assert len(found) == 4
    for what, inputs, code, fault, _, _ in found:
        assert fault is None, what
        assert inputs > 50
        # Every run meets images that cannot be read; an evaluation leaves them out.
        assert code == (0 if what == "evaluation" else 1), what


@pytest.mark.parametrize(
    "code, output",
    [
        (1, "Traceback (most recent call last)\n  x\nKeyError: 1\n"),
        (0, "\x1b]0;OWNED\x07\n"),
        (1, ""),
        (-11, "x\n"),
        (3, "x\n"),
    ],
)
def test_bad_ends_are_seen(code, output):
    with pytest.raises(Fault):
        check_end(code, output)


def test_what_a_script_prints_is_seen():
    def main(argv):
        print("out")
        os.write(2, b"err\n")
        return 2

    assert run_main(main, []) == (2, "out\nerr\n")

    def fails(argv):
        raise KeyError(1)

    code, output = run_main(fails, [])
    assert code == 1 and "Traceback (most recent call last)" in output


def test_every_script_is_there(root):
    names = {name for name in os.listdir(os.path.join(root, "test_code")) if name.endswith(".py")}
    # The training scripts differ in nothing but the network.
    assert names | {"dgl_vgg.py"} <= set(MAINS)
    assert scripts_module.SCRIPTS is MAINS
