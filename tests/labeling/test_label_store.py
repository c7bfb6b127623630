"""The store of labels: what is appended comes back, torn ends are dropped, other runs are refused."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_labels import an_object, header, make_store
from refusals import refusal

from dgl.labeling import decisions
from dgl.labeling.decisions import ACCEPTED, CHANGED, REJECTED, Decision, append_decision
from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.store import OBJECTS, LabelStore, read_header, read_images

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
ALL = [ImageLabels(name, 20, 10, 1, (an_object((1, 2, 3, 4.5), 1),)) for name in NAMES]

numbers = st.floats(0, 1)


@given(
    st.text(min_size=1),
    st.lists(
        st.tuples(st.floats(0, 50), st.floats(51, 1e6), numbers, st.none() | numbers), max_size=4
    ),
)
def test_labels_survive_json(name, rows):
    objects = []
    for low, high, score, confidence in rows:
        values = (3, name, score, score, None, confidence, None, {"x": score})
        objects.append(LabeledObject((low, low, high, high), *values))
    labels = ImageLabels(name, 7, 9, None, tuple(objects))
    assert ImageLabels.from_json(labels.to_json()) == labels


def run(folder, until=None, **changes):
    """A run in batches of two that stops after ``until`` images; returns how many were there before."""
    with LabelStore(str(folder), header(**changes)) as store:
        done = store.resume(NAMES, 2)
        for start in range(done, len(NAMES) if until is None else until, 2):
            store.append(ALL[start : start + 2])
        return done


def test_every_cut_of_the_file_ends_in_the_same_bytes(tmp_path):
    run(tmp_path / "whole")
    whole = (tmp_path / "whole" / OBJECTS).read_bytes()
    assert list(read_images(str(tmp_path / "whole"))) == ALL
    cut = tmp_path / "cut"
    cut.mkdir()
    for length in range(0, len(whole) + 1, 7):
        (cut / OBJECTS).write_bytes(whole[:length])
        done = run(cut)
        lines = whole[:length].count(b"\n") - 1
        assert done == max(0, lines - lines % 2 if lines < len(NAMES) else lines)
        assert (cut / OBJECTS).read_bytes() == whole


def test_another_run_is_refused_by_what_differs(tmp_path):
    run(tmp_path, 2)
    before = (tmp_path / OBJECTS).read_bytes()
    masks = refusal(run, tmp_path, options={"masks": True, "batch": 2})
    assert "masks: false, now true" in masks
    assert "weights" in refusal(run, tmp_path, network={**header().network, "weights": "other"})
    assert "classes" in refusal(run, tmp_path, classes=("x",))
    assert (tmp_path / OBJECTS).read_bytes() == before
    with LabelStore(str(tmp_path), header()) as store:
        assert "another process" in refusal(LabelStore, str(tmp_path), header())
        assert "b.jpg" in refusal(store.resume, ["a.jpg", "x.jpg"], 2)
    with LabelStore(str(tmp_path), header(classes=("x",)), restart=True) as store:
        assert store.resume(NAMES, 2) == 0
    assert read_header(str(tmp_path)).classes == ("x",)


@pytest.mark.parametrize(
    "line",
    [
        b'{"dgl_labels":99}',
        b"notes",
        b'{"image":"a","width":0,"height":1,"label":0}',
        b"[" * 9999,
    ],
)
def test_damaged_and_other_files_are_refused_untouched(tmp_path, line):
    for content in (line + b"\n", b"notes"):
        (tmp_path / OBJECTS).write_bytes(content)
        assert OBJECTS in refusal(LabelStore, str(tmp_path), header())
        assert (tmp_path / OBJECTS).read_bytes() == content
    (tmp_path / OBJECTS).unlink()
    run(tmp_path, 2)
    with open(str(tmp_path / OBJECTS), "ab") as stream:
        stream.write(line + b"\n")
    assert OBJECTS + ":4" in refusal(list, read_images(str(tmp_path)))


def test_the_last_decision_counts(tmp_path):
    out, images = make_store(tmp_path)
    assert list(decisions.corrected(out)) == images
    drawn = an_object((5, 5, 9, 9), 1, score_mean=None)
    append_decision(out, Decision("a.jpg", 1, REJECTED))
    append_decision(out, Decision("a.jpg", 2, CHANGED, (drawn,)))
    append_decision(out, Decision("sub/a.jpg", 1, ACCEPTED))
    with open(os.path.join(out, decisions.DECISIONS), "ab") as stream:
        stream.write(b'{"image":"b c.jpg","status":"rej')  # killed while it was written
    assert len(decisions.read_decisions(out)) == 2
    append_decision(out, Decision("b c.jpg", 1, REJECTED))
    found = {labels.image: labels for labels in decisions.corrected(out)}
    assert found["a.jpg"].objects == (drawn,) and found["a.jpg"].status == CHANGED
    assert found["b c.jpg"].status == REJECTED
    assert found["sub/a.jpg"].status == ACCEPTED and found["sub/turned.jpg"].status is None
