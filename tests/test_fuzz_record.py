"""docs/robustness.md quotes the record of the fuzzer, and runs add to the record what they found."""

import os

import pytest

from benchmarks.fuzz import cases, record
from benchmarks.fuzz.__main__ import add_run, chosen, main
from benchmarks.fuzz.targets import TARGETS
from dgl.errors import UserError

_FIGURES = {
    "seconds": 60,
    "executions": 1000,
    "executions_per_second": 17,
    "coverage": 5,
    "features": 9,
    "corpus": 2,
    "peak_mb": 600,
    "starts": 1,
}


def test_the_page_has_the_record_s_table(root):
    whole = record.read()
    assert list(whole["targets"]) == list(TARGETS)
    with open(os.path.join(root, "docs", "robustness.md"), encoding="utf-8") as stream:
        page = stream.read()
    assert record.table(whole) in page
    assert "Atheris {atheris} on Python {python}".format(**whole["versions"]) in page


def test_every_finding_has_its_input_and_is_fixed():
    found = [one for own in record.read()["targets"].values() for one in own["findings"]]
    assert sorted(one["case"] for one in found) == cases.names()
    assert all(one["fixed"] for one in found)


def test_the_table_counts_findings_and_sums():
    own = dict(_FIGURES, findings=[{"kind": "k", "case": "c", "fixed": True}])
    lines = record.table({"targets": {"a": own, "b": dict(_FIGURES, findings=[])}}).splitlines()
    assert lines[2] == "| `a` | 60 | 1,000 | 17 | 5 | 2 | 1 |"
    assert lines[4] == "| all | 120 | 2,000 | | | | 1 |"


def test_a_finding_is_fixed_once_a_run_does_not_have_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cases, "FOLDER", str(tmp_path))
    found = [{"kind": "KeyError in a.py:f", "details": "the story", "input": b"\0x"}]
    first = add_run(None, "npz", _FIGURES, found)
    assert "the story" in capsys.readouterr().out
    assert [one["fixed"] for one in first["findings"]] == [False]
    assert cases.names(str(tmp_path)) == [first["findings"][0]["case"]]
    again = add_run(first, "npz", _FIGURES, found)
    assert len(again["findings"]) == 1 and not again["findings"][0]["fixed"]
    last = add_run(again, "npz", dict(_FIGURES, executions=2), [])
    assert last["findings"][0]["fixed"] and last["executions"] == 2


def test_targets_by_name():
    assert chosen(["npz", "cub"]) == [TARGETS["npz"], TARGETS["cub"]]
    assert chosen(["all"]) == list(TARGETS.values())
    for names in ([], ["npz", "nothing"]):
        with pytest.raises(UserError, match="label_list, cub"):
            chosen(names)


def test_the_table_is_printed(capsys):
    assert main(["--table"]) == 0
    assert capsys.readouterr().out == record.table(record.read())
