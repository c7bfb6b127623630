"""Whatever an evaluation results gives the same figures after it was stored as JSON."""

import copy
import json

import numpy as np
import pytest
from generators import labeled_images
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_results import ENTRY, PLAIN, PLAN, filled

from dgl.evaluation.plan import Plan
from dgl.evaluation.results import Results
from dgl.evaluation.summary import compute_metrics
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.metrics.records import Column, Records

texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)


def _stored(state):
    """A state as a file gives it back."""
    return json.loads(json.dumps(state))


@st.composite
def tables(draw):
    """(columns, ids or None, values): random rows of random columns."""
    kinds = st.sampled_from(["bool", "uint8", "int8", "int32", "uint32", "float64", "float32"])
    shape = st.lists(st.integers(1, 3), max_size=2).map(tuple)
    names, column = st.sampled_from("abcd"), st.builds(Column, kinds, shape)
    columns = draw(st.dictionaries(names, column, min_size=1, max_size=4))
    rows = draw(st.integers(0, 5))
    ids = draw(st.none() | st.lists(texts, min_size=rows, max_size=rows, unique=True))
    values = {
        name: draw(arrays(column.dtype, (rows,) + column.shape)) for name, column in columns.items()
    }
    return columns, ids, values


@given(tables(), st.data())
def test_records_keep_every_bit(table, data):
    columns, ids, values = table
    rows = len(next(iter(values.values())))
    records = Records(columns)
    cut = data.draw(st.integers(0, rows))
    for part in (slice(0, cut), slice(cut, rows)):
        records.append(ids and ids[part], **{name: array[part] for name, array in values.items()})
    again = Records.from_state(columns, _stored(records.state_dict()))
    assert len(again) == rows and again.ids == records.ids == (ids or [] if rows else [])
    for name, array in values.items():
        assert again.column(name).dtype == array.dtype
        assert again.column(name).tobytes() == array.tobytes()
    assert again.state_dict() == records.state_dict()
    np.testing.assert_array_equal(again.order(), records.order())


@given(tables(), st.integers(0, 2**16), st.integers(0, 255))
def test_damaged_records_are_told_or_are_still_records(table, place, byte):
    columns, ids, values = table
    records = Records(columns)
    records.append(ids, **values)
    text = json.dumps(records.state_dict())
    text = text[: place % len(text)] + chr(byte) + text[place % len(text) + 1 :]
    try:
        again = Records.from_state(columns, json.loads(text))
    except ValueError:
        return
    assert len(again.ids) in (0, len(again))


@given(st.lists(labeled_images(), min_size=1, max_size=4), st.booleans())
def test_evaluators_give_the_same_result(images, with_ids):
    ids = [f"i{index}" for index in range(len(images))] if with_ids else None
    score_maps, boxes, labels, logits = zip(*images)
    first, second, third = evaluators = (
        FixedThresholdEvaluator(7, 0.3),
        MaxBoxAccEvaluator(0.05, operating_threshold=0.2),
        PixelApEvaluator(0.05),
    )
    empties = copy.deepcopy(evaluators)
    first.add(score_maps, boxes, np.array(logits), np.array(labels), ids=ids)
    second.add(score_maps, boxes, ids)
    third.add(score_maps, [(m > m.mean()).astype(np.uint8) | (m == 1) for m in score_maps], ids)
    for evaluator, empty in zip(evaluators, empties):
        state = _stored(evaluator.state_dict())
        empty.load_state_dict(state)
        assert empty.state_dict() == evaluator.state_dict()
        if evaluator is not third or evaluator.totals()["object"].any():
            assert empty.result() == evaluator.result()
        if ids:
            with pytest.raises(ValueError):
                empty.merge(evaluator)


positions = st.sets(st.integers(0, 16), min_size=1, max_size=5)


@given(positions, positions, st.sampled_from([PLAN, PLAIN]))
def test_made_results_give_the_same_figures(read, broken, plan):
    results = Results(plan) if plan.masks else filled(sorted(read), plan, broken)
    stored_plan = Plan.from_json(_stored(plan.to_json()))
    assert stored_plan == plan and stored_plan.differences(plan) == []
    again = Results.from_state(stored_plan, _stored(results.state_dict()))
    assert again.state_dict() == results.state_dict()
    assert again.positions == results.positions and again.errors == results.errors
    if results.names:
        assert compute_metrics(again, resamples=5) == compute_metrics(results, resamples=5)


@given(positions, st.data())
def test_shards_of_made_results_merge_in_any_order(read, data):
    read = sorted(read)
    owner = data.draw(st.lists(st.integers(0, 2), min_size=len(read), max_size=len(read)))
    shards = [filled([p for p, o in zip(read, owner) if o == shard]) for shard in range(3)]
    shards = data.draw(st.permutations(shards))
    merged, whole = Results(PLAIN), filled(read)
    for shard in shards:
        merged.merge(Results.from_state(PLAIN, _stored(shard.state_dict())))
    assert merged.positions == whole.positions
    assert compute_metrics(merged, resamples=0) == compute_metrics(whole, resamples=0)
    key = ("fixed_threshold", ENTRY)
    assert merged.localization[key].counted_ids() == whole.localization[key].counted_ids()
