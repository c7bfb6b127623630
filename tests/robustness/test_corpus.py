"""Bad input through every loader: read or refused in one line, in bounded time and memory."""

import collections

import pytest

from benchmarks.robustness.case import ANY, GOOD, REFUSED
from benchmarks.robustness.corpus import all_cases, sample
from benchmarks.robustness.loaders import LOADERS
from benchmarks.robustness.record import judge, run_case

KINDS = sorted(LOADERS)
# Other work on the same cores must not fail a test.
PATIENCE = 60
SHARE = 20  # one in so many of the damaged files


@pytest.fixture(scope="module")
def every_case():
    return list(all_cases())


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return str(tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_every_kind(kind, every_case, work):
    faults = []
    cases = [case for case in sample(every_case, SHARE) if case.kind == kind]
    for case in cases:
        outcomes = run_case(case, LOADERS[kind], work, PATIENCE)
        refusals = sum(outcome.how == "refused" for outcome in outcomes)
        found = [o.message or o.how for o in outcomes if o.is_fault]
        found.append(judge(case, outcomes, refusals))
        faults.extend((case.name, fault) for fault in found if fault)
    assert not faults
    assert cases


def test_names_are_unique_and_inputs_many(every_case):
    names = collections.Counter((case.kind, case.name) for case in every_case)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(every_case) > 4000
    assert {case.kind for case in every_case} == set(KINDS)
    assert {case.outcome for case in every_case} == {GOOD, REFUSED, ANY}
