"""Rows of columns are refused when they do not fit."""

import numpy as np
import pytest

from dgl.metrics.records import Column, Records

COLUMNS = {"rank": Column("int32"), "box": Column("int32", (4,)), "iou": Column("float64")}


def filled(count, ids=True, start=0):
    rng = np.random.RandomState(0)
    records = Records(COLUMNS)
    names = [f"{i:03d}" for i in range(start, start + count)] if ids else None
    records.append(
        names,
        rank=rng.randint(0, 9, count),
        box=rng.randint(0, 99, (count, 4)),
        iou=np.where(rng.rand(count) < 0.2, np.nan, rng.rand(count)),
    )
    return records


def test_an_id_stands_once_and_columns_have_their_shapes():
    records = filled(3)
    before = records.state_dict()
    with pytest.raises(ValueError, match="'001' was added before"):
        records.extend(filled(1, start=1))
    with pytest.raises(ValueError, match="'9' was added before"):
        records.append(["9", "9"], rank=[0, 0], box=np.zeros((2, 4)), iou=[0, 0])
    with pytest.raises(ValueError, match="some have none"):
        records.extend(filled(1, ids=False))
    values = {"rank": [1, 2], "box": np.zeros((2, 4)), "iou": [0.5, 0.5]}
    for change in ({"rank": [[1], [2]]}, {"iou": 0.5}, {"more": [1, 2]}):
        with pytest.raises(ValueError):
            records.append(["8", "9"], **dict(values, **change))
    assert records.state_dict() == before


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
