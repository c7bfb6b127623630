"""Batches in any order, kept and taken over, put into the order of the list."""

import dataclasses

import pytest
from fake_predictor import FakePredictor, damage, make_dataset, make_plan

from dgl.errors import UserError
from dgl.evaluation.batches import BatchRunner
from dgl.evaluation.loop import collect
from dgl.evaluation.results import Store


@pytest.mark.parametrize("kept", [(), (0,), (3, 1)])
def test_batches_in_any_order_and_from_a_store_give_the_bytes_of_one_run(tmp_path, caplog, kept):
    dataset = make_dataset(tmp_path, count=9)
    damage(dataset, 1, 6)
    plan = make_plan(FakePredictor(), dataset, batch=2)
    batches = BatchRunner(FakePredictor(), dataset, plan)
    whole = Store(tmp_path / "whole", plan)
    whole.finish(collect(plan, dataset, batches.run, whole, progress=False))
    store = Store(tmp_path / "out", plan)
    for chunk, part in batches.run(list(kept)):
        store.write(chunk, part)
    asked = []

    def backwards(chunks):
        for chunk in reversed(chunks):
            asked.append(chunk)
            yield from batches.run([chunk])

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


def test_boxes_that_do_not_fit_are_told_of_once_and_after_a_resumed_run_too(tmp_path, caplog):
    dataset = make_dataset(tmp_path, count=6)
    for position in (1, 4):
        sample = dataset.samples[position]
        wide = dataclasses.replace(sample, boxes=((5.0, 5.0, 900.0, 60.0),), size=(7, 7))
        dataset.samples[position] = wide
    plan = make_plan(FakePredictor(), dataset, batch=1)
    batches = BatchRunner(FakePredictor(), dataset, plan)
    store = Store(tmp_path / "out", plan)
    for chunk, part in batches.run([1]):
        store.write(chunk, part)
    collect(plan, dataset, batches.run, store, progress=False)
    warnings = [r.getMessage() for r in caplog.records if "boxes" in r.getMessage()]
    assert len(warnings) == 2
    assert warnings[0].startswith("rectangles: 2 boxes reach over") and "1.png" in warnings[0]
    assert warnings[1].startswith("rectangles: 2 images") and "declared 7 x 7" in warnings[1]


def test_a_failure_closes_the_runner_and_keeps_what_was_done(tmp_path):
    dataset = make_dataset(tmp_path, count=4)
    plan = make_plan(FakePredictor(), dataset, batch=1)
    batches = BatchRunner(FakePredictor(), dataset, plan)
    closed = []

    def failing(chunks):
        try:
            yield from batches.run(chunks[:2])
            raise UserError("no more")
        finally:
            closed.append(True)

    store = Store(tmp_path / "out", plan)
    with pytest.raises(UserError, match="^no more$"):
        collect(plan, dataset, failing, store, progress=False)
    assert closed and store.done() == [0, 1]
