"""Every reader on its seeds, on random changes to them, and on inputs that once failed."""

import logging

import pytest

from benchmarks.fuzz import cases
from benchmarks.fuzz.mutations import mutations
from benchmarks.fuzz.oracle import canary, examine
from benchmarks.fuzz.target import Target
from benchmarks.fuzz.targets import TARGETS
from dgl.errors import UserError

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
MUTATIONS = 40


def _refuse(*_):
    raise UserError("x: refused")


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_random_changes_to_them(tmp_path, name):
    target = TARGETS[name]
    for package in target.needs:
        pytest.importorskip(package)
    seeds = target.seeds()
    accepted = 0
    for data in seeds:
        assert examine(target, data, str(tmp_path)) is None
        try:
            target.run(data, str(tmp_path))
            accepted += 1
        except UserError:
            pass
    assert accepted, "none of the seeds is a valid file"
    for data in mutations(seeds, target.tokens, MUTATIONS):
        found = examine(target, data, str(tmp_path))
        assert found is None, f"{found[0]}\n{found[1]}\n{data!r}"


@pytest.mark.parametrize("case", cases.names())
def test_what_was_found_stays_fixed(tmp_path, case):
    name, _, data = cases.read(case)
    for package in TARGETS[name].needs:
        pytest.importorskip(package)
    found = examine(TARGETS[name], data, str(tmp_path))
    assert found is None, found[1]


@pytest.mark.parametrize(
    "run, expected",
    [
        (lambda data, folder: None, None),
        (_refuse, None),
        (lambda data, folder: [][1], "IndexError"),
        (lambda data, folder: canary(), "ran canary"),
        (lambda data, folder: _refuse_with("a\nb"), "AssertionError"),
        (lambda data, folder: _refuse_with("a \x1b[31m"), "AssertionError"),
    ],
)
def test_what_counts_as_a_finding(tmp_path, run, expected):
    found = examine(Target("x", run, list), b"", str(tmp_path))
    assert (found and found[0]) == expected


class _Raw(UserError):
    """A refusal whose message comes out as it went in."""

    def __str__(self):
        return self.raw


def _refuse_with(message):
    error = _Raw()
    error.raw = message
    raise error


def test_a_kept_input_is_read_back(tmp_path):
    data = bytes(range(256))
    name = cases.keep("npz", "KeyError in x", data, str(tmp_path))
    assert cases.names(str(tmp_path)) == [name]
    assert cases.read(name, str(tmp_path)) == ("npz", "KeyError in x", data)


def test_mutations_are_the_same_for_the_same_seed():
    seeds = [b"abcdefgh" * 4, b"\0\1\2"]
    first = list(mutations(seeds, (b"T",), 50))
    assert first == list(mutations(seeds, (b"T",), 50)) and len(set(first)) > 40
    assert first != list(mutations(seeds, (b"T",), 50, seed=1))
