"""Results by batch: in any order, stored and resumed, merged from shards, refused when damaged."""

import dataclasses
import json
import os

import pytest
from fake_predictor import FakePredictor, damage, make_dataset, make_plan
from made_results import PLAIN, filled
from refusals import check_refusal, refusal

from dgl.evaluation.loop import BatchRunner, Task, collect
from dgl.evaluation.results import Store, has_records, read_records, write_records


def test_batches_come_back_as_they_were(tmp_path):
    store = Store(tmp_path, PLAIN)
    assert store.done() == []
    for chunk, positions in ((1, range(8, 16)), (0, range(8))):
        store.write(chunk, filled(positions, broken=(3,)))
    again = Store(tmp_path, PLAIN)
    assert again.done() == [0, 1]
    assert again.read(0).state_dict() == filled(range(8), broken=(3,)).state_dict()
    assert not has_records(tmp_path)
    again.finish(filled(range(17)))
    assert os.listdir(str(tmp_path)) == ["records.json"] and has_records(tmp_path)
    found = read_records(tmp_path)
    assert found.state_dict() == filled(range(17)).state_dict() and found.plan == PLAIN


def test_a_store_of_another_plan_is_kept_until_told_otherwise(tmp_path):
    Store(tmp_path, PLAIN).write(0, filled(range(8)))
    other = dataclasses.replace(PLAIN, step=0.1)
    check_refusal("unfinished results of another evaluation, .* in step;", Store, tmp_path, other)
    assert Store(tmp_path, PLAIN).done() == [0]
    store = Store(tmp_path, other, restart=True)
    assert store.done() == []
    # Batches without a plan belong to an unknown evaluation.
    store.write(0, filled(range(8), other))
    (tmp_path / "partial" / "plan.json").unlink()
    assert Store(tmp_path, other).done() == []


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff\xfe", b"[" * 100000, b'{"plan": {}}'])
def test_damaged_results_are_one_line(tmp_path, text):
    (tmp_path / "records.json").write_bytes(text)
    assert "records.json: damaged" in refusal(read_records, tmp_path)
    store = Store(tmp_path, PLAIN)
    (tmp_path / "partial" / "batch-000000.json").write_bytes(text)
    assert "batch-000000.json: damaged" in refusal(store.read, 0)
    (tmp_path / "partial" / "plan.json").write_bytes(text)
    found = refusal(Store, tmp_path, PLAIN)
    assert "plan.json: " in found and "--restart" in found


def test_results_of_other_entries_or_images_are_damaged(tmp_path):
    write_records(tmp_path, filled(range(4)))
    path = tmp_path / "records.json"
    record = json.loads(path.read_text())
    results = record["results"]
    for name, values in (
        ("names", results["names"][:2]),
        ("evaluators", results["evaluators"][:2]),
        ("evaluators", results["evaluators"][::-1]),
    ):
        path.write_text(json.dumps(dict(record, results=dict(results, **{name: values}))))
        assert "damaged results" in refusal(read_records, tmp_path)


@pytest.mark.parametrize("kept", [(), (0,), (3, 1)])
def test_batches_in_any_order_and_from_a_store_give_the_bytes_of_one_run(tmp_path, caplog, kept):
    dataset = make_dataset(tmp_path, count=9)
    damage(dataset, 1, 6)
    plan = make_plan(FakePredictor(), dataset, batch=2)
    run_batches = BatchRunner(FakePredictor(), Task({}, dataset, plan)).run
    store, whole = (Store(tmp_path / name, plan) for name in ("out", "whole"))
    whole.finish(collect(plan, dataset, run_batches, whole, progress=False))
    for chunk, part in run_batches(list(kept)):
        store.write(chunk, part)
    asked = []

    def backwards(chunks):
        for chunk in reversed(chunks):
            asked.append(chunk)
            yield from run_batches([chunk])

    caplog.clear()
    results = collect(plan, dataset, backwards, store, progress=False)
    assert asked == [chunk for chunk in (4, 3, 2, 1, 0) if chunk not in kept]
    assert store.done() == [0, 1, 2, 3, 4]
    # Of those from the store it was said when they were run.
    expected = sum(position // 2 not in kept for position in (1, 6))
    assert caplog.text.count("left out: ") == expected
    store.finish(results)
    records = [tmp_path / name / "records.json" for name in ("out", "whole")]
    assert records[0].read_bytes() == records[1].read_bytes()
