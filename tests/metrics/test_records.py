"""Rows of columns are refused when they do not fit."""

import numpy as np
import pytest

from dgl.metrics.records import Column, Records

COLUMNS = {"rank": Column("int32"), "box": Column("int32", (4,)), "iou": Column("float64")}


def filled(count, names=None):
    records = Records(COLUMNS)
    iou = np.where(np.arange(count) == 1, np.nan, 0.5)
    records.append(names, rank=range(count), box=np.arange(4 * count).reshape(count, 4), iou=iou)
    return records


def test_an_id_stands_once_and_columns_have_their_shapes():
    records = filled(3, "abc")
    before = records.state_dict()
    with pytest.raises(ValueError, match="'b' was added before"):
        records.extend(filled(1, "b"))
    with pytest.raises(ValueError, match="'9' was added before"):
        records.append(["9", "9"], rank=[0, 0], box=np.zeros((2, 4)), iou=[0, 0])
    with pytest.raises(ValueError, match="some have none"):
        records.extend(filled(1))
    values = {"rank": [1, 2], "box": np.zeros((2, 4)), "iou": [0.5, 0.5]}
    for change in ({"rank": [[1], [2]]}, {"iou": 0.5}, {"more": [1, 2]}):
        with pytest.raises(ValueError):
            records.append(["8", "9"], **dict(values, **change))
    assert records.state_dict() == before


def test_damaged_states_are_refused():
    state = filled(3, "abc").state_dict()
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
