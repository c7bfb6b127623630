"""Every reader on its seeds, on random changes to them, and on inputs that once failed."""

import contextlib

import pytest

from benchmarks.fuzz import cases
from benchmarks.fuzz.mutations import mutations
from benchmarks.fuzz.oracle import examine
from benchmarks.fuzz.targets import TARGETS
from dgl.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
MUTATIONS = 40


def target_of(name):
    for package in TARGETS[name].needs:
        pytest.importorskip(package)
    return TARGETS[name]


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_random_changes_to_them(tmp_path, name):
    target = target_of(name)
    seeds = target.seeds()
    accepted = 0
    for data in seeds:
        assert examine(target, data, str(tmp_path)) is None
        with contextlib.suppress(UserError):
            target.run(data, str(tmp_path))
            accepted += 1
    assert accepted, "none of the seeds is a valid file"
    for data in mutations(seeds, target.tokens, MUTATIONS):
        found = examine(target, data, str(tmp_path))
        assert found is None, f"{found[0]}\n{found[1]}\n{data!r}"


@pytest.mark.parametrize("case", cases.names())
def test_what_was_found_stays_fixed(tmp_path, case):
    name, _, data = cases.read(case)
    found = examine(target_of(name), data, str(tmp_path))
    assert found is None, found[1]
