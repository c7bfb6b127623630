"""The review of a store: its order, decisions that survive, conflicts and undo."""

import concurrent.futures
import os

import pytest
from made_labels import header, make_store
from refusals import refusal

from dgl.labeling.decisions import DECISIONS, corrected, iterate_decisions
from dgl.labeling.labels import ImageLabels
from dgl.labeling.review import Conflict, Review
from dgl.labeling.store import LabelStore


def as_sent(review, number):
    """Objects of an image as the page sends them, unchanged."""
    return [
        {"from": place, "box": found["box"], "class_index": found["class_index"]}
        for place, found in enumerate(review.image(number)["objects"])
    ]


def by_name(review, name):
    (number,) = (n for n in review.queue("all") if review.image(n)["image"] == name)
    return number


@pytest.fixture
def out(tmp_path):
    return make_store(tmp_path, masks=True)[0]


@pytest.fixture
def review(out):
    with Review(out, progress=True) as review:
        yield review


def test_the_least_certain_first_and_unreadable_ones_never(capsys, review):
    assert "reading labels: 4 images" in capsys.readouterr().err
    names = [review.image(number)["image"] for number in review.queue()]
    assert names == ["sub/a.jpg", "b c.jpg", "a.jpg", "sub/turned.jpg"]
    assert os.path.isfile(review.image_path(0))


def test_decisions_survive(out):
    with Review(out) as review:
        number = by_name(review, "b c.jpg")
        objects = as_sent(review, number)
        objects[0]["box"] = [-3, 1.234, 40, 70]  # clipped to the image of 50 x 50
        objects.append({"from": None, "box": [5, 6, 7, 8], "class_index": 1})
        found = review.decide(number, 0, "keep", objects)
        assert (found["status"], found["revision"]) == ("changed", 1)
        first, second, third = found["objects"]
        assert first["box"] == (0, 1.23, 40, 50)
        assert first["confidence"] is None is first["polygons"]
        assert second["confidence"] == 0.25 and second["polygons"]  # untouched
        assert third["class_name"] == "bird & <friend>"
        number = by_name(review, "a.jpg")
        objects = as_sent(review, number)
        assert review.decide(number, 0, "keep", objects)["status"] == "accepted"
        objects[0]["class_index"] = 1  # another class keeps box and outline
        (other,) = review.decide(number, 1, "keep", objects)["objects"]
        assert other["class_name"] == "bird & <friend>" and other["confidence"] is None
        assert other["polygons"]
        review.restore(number, 2, 1)
        review.decide(by_name(review, "sub/turned.jpg"), 0, "reject", [])
    with Review(out) as review:  # another process
        assert review.progress() == dict(accepted=1, changed=1, rejected=1, reviewed=3, all=4)
        assert [review.image(n)["image"] for n in review.queue()] == ["sub/a.jpg"]
        assert review.image(by_name(review, "b c.jpg"))["objects"] == [first, second, third]


def test_of_threads_at_once_one_decides(out, review):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(review.decide, 0, 0, "reject", []) for _ in range(8)]
    errors = [future.exception() for future in futures]
    assert sum(error is None for error in errors) == 1
    assert sum(isinstance(error, Conflict) for error in errors) == 7
    for call, *arguments in ((review.decide, 0, 2, "keep", []), (review.restore, 0, 0, 0)):
        with pytest.raises(Conflict):
            call(*arguments)
    assert len(list(iterate_decisions(out))) == 1 and review.image(0)["status"] == "rejected"


def test_undo_brings_back_what_was_there(out):
    with Review(out) as review:
        number = by_name(review, "a.jpg")
        labeled = review.image(number)
        changed = review.decide(number, 0, "keep", [])
        assert changed["status"] == "changed"
        review.decide(number, 1, "reject", [])
        assert review.restore(number, 2, 1) == dict(changed, revision=3)
        back = review.restore(number, 3, 0)
        assert back == dict(labeled, revision=4)
        assert review.progress()["reviewed"] == 0
        assert "no revision 9" in refusal(review.restore, number, 4, 9)
    with Review(out) as review:
        assert review.image(number) == back
    assert all(labels.status is None for labels in corrected(out))


def test_filters(review):
    number = by_name(review, "b c.jpg")
    assert review.queue("all", text="B C") == review.queue("all", class_index=1) == [number]
    review.decide(number, 0, "keep", [])
    assert review.queue("all", class_index=1) == []
    assert review.queue("changed") == review.queue("reviewed") == [number]
    assert number not in review.queue()
    assert "no filter 'new'" in refusal(review.queue, "new")


@pytest.mark.parametrize(
    "values",
    [
        {"box": [1, 2, 3], "class_index": 0},
        {"box": [1, 2, float("nan"), 4], "class_index": 0},
        {"box": [3, 2, 1, 4], "class_index": 0},
        {"box": [70, 2, 80, 4], "class_index": 0},  # beyond the image
        {"box": [1, 2, 3, 4], "class_index": 2},
        {"box": [1, 2, 3, 4], "class_index": -1},
        {"box": [1, 2, 3, 4], "class_index": 0, "from": 7},
        {"box": [1, 2, 3, 4]},
        "box",
    ],
)
def test_improper_objects_are_refused_and_nothing_is_written(out, review, values):
    refusal(review.decide, by_name(review, "a.jpg"), 0, "keep", [values])
    assert not os.path.exists(os.path.join(out, DECISIONS))


def test_what_cannot_be_reviewed(out, tmp_path):
    with Review(out) as review:
        assert "another `dgl review` has it open" in refusal(Review, out)
        assert "no image 4; expected 0 to 3" in refusal(review.image, 4)
    assert "expected the output folder of `dgl label`" in refusal(Review, str(tmp_path))
    for labels in (ImageLabels("a.jpg", error="x"), ImageLabels("../secret.png", 9, 9)):
        with LabelStore(str(tmp_path / "bad"), header(tmp_path / "bad"), restart=True) as store:
            store.append([labels])
        if labels.error:
            assert "no readable image" in refusal(Review, str(tmp_path / "bad"))
        else:
            with Review(str(tmp_path / "bad")) as review:
                assert "leads out of the data folder" in refusal(review.image_path, 0)
    with open(os.path.join(out, DECISIONS), "w") as stream:
        stream.write('{"image": "a.jpg"}\n')
    assert "decisions.jsonl:1: " in refusal(Review, out)
