"""Rows of columns: appended, merged, stored, refused when they do not fit."""

import numpy as np
import pytest

from dgl.metrics.records import Column, Records

COLUMNS = {"rank": Column("int32"), "box": Column("int32", (4,)), "iou": Column("float64")}


def filled(count, seed=0, ids=True, start=0):
    rng = np.random.RandomState(seed)
    records = Records(COLUMNS)
    names = [f"{i:03d}" for i in range(start, start + count)] if ids else None
    records.append(
        names,
        rank=rng.randint(0, 9, count),
        box=rng.randint(0, 99, (count, 4)),
        iou=np.where(rng.rand(count) < 0.2, np.nan, rng.rand(count)),
    )
    return records


def test_rows_come_in_the_order_of_their_ids_whatever_the_order_of_merging():
    parts = [filled(4, seed, start=4 * seed) for seed in range(3)]
    merged = Records(COLUMNS)
    for part in (parts[2], parts[0], parts[1]):
        merged.extend(part)
    order = merged.order()
    assert [merged.ids[row] for row in order] == sorted(merged.ids)
    expected = np.concatenate([part.column("rank") for part in parts])
    np.testing.assert_array_equal(merged.column("rank")[order], expected)


def test_an_id_stands_once():
    records = filled(3)
    before = records.state_dict()
    with pytest.raises(ValueError, match="'001' was added before"):
        records.extend(filled(1, start=1))
    with pytest.raises(ValueError, match="'9' was added before"):
        records.append(["9", "9"], rank=[0, 0], box=np.zeros((2, 4)), iou=[0, 0])
    with pytest.raises(ValueError, match="some have none"):
        records.extend(filled(1, ids=False))
    assert records.state_dict() == before


CHANGES = (
    {"rank": [1]},
    {"rank": [[1], [2]]},
    {"box": np.zeros((2, 3))},
    {"iou": 0.5},
    {"more": [1, 2]},
)


@pytest.mark.parametrize("change", CHANGES)
def test_values_that_do_not_fit_are_refused(change):
    values = {"rank": [1, 2], "box": np.zeros((2, 4)), "iou": [0.5, 0.5]}
    records = Records(COLUMNS)
    with pytest.raises(ValueError):
        records.append(None, **dict(values, **change))
    assert len(records) == 0


def test_damaged_states_are_refused():
    state = filled(3).state_dict()
    packed, box = state["columns"]["rank"], state["columns"]["box"]
    changes = [{"columns": {}}, {"ids": ["a"]}]
    changes += [{"rows": rows} for rows in (4, -1, 10**12, "x")]
    for rank in (packed[:-6], "no base64!", box, None):
        changes.append({"columns": dict(state["columns"], rank=rank)})
    for change in changes:
        with pytest.raises(ValueError):
            Records.from_state(COLUMNS, dict(state, **change))
    with pytest.raises(ValueError):
        Records.from_state({"rank": Column("int32")}, state)
