"""Rows of the speed benchmark: ratios within a round and their bounds, trainings, folders of images."""

import numpy as np
import pytest
from trees import contents

from benchmarks.speed.options import Options
from benchmarks.speed.sections import folder, training
from benchmarks.speed.spread import ratio
from benchmarks.speed.training_step import Case
from dgl.data import list_images, read_image

CASE = Case("vgg", 1.0, batch=8, size=224, steps=2, rounds=3)


def test_a_machine_that_slows_down_does_not_move_the_ratio():
    seconds = np.array([1.0, 1.1, 0.9, 1.05])
    slower = np.array([1.0, 8.0, 3.0, 20.0])
    assert ratio(2 * seconds * slower, seconds * slower) == {"median": 2, "least": 2, "most": 2}
    # The ratio of the medians would be 3.25 / 2.5.
    assert ratio([1.0, 4.0, 2.5, 9.0], [1.0, 2.0, 3.0, 3.0])["median"] == pytest.approx(1.5)


def times(slower):
    bare, processor = np.array([1.0, 2.0, 4.0]), np.full(3, 1.9)
    found = {"bare": bare, "trainer": slower * bare}
    return dict(found, bare_processor=processor, trainer_processor=1.25 * processor)


@pytest.mark.parametrize("slower, met", [(0.99, True), (1.05, True), (1.06, False)])
def test_a_row_holds_the_ratio_to_its_bound(slower, met):
    row = training.step_row(CASE, times(slower), image_seconds=0.0125)
    assert row["ratio"] == {"median": slower, "least": slower, "most": slower}
    assert row["bound"] == {"kind": "at most", "bound": 1.05, "met": met}
    assert row["processor_ratio"]["median"] == 1.25
    assert row["bare_ms"] == {"median": 2000.0, "least": 1000.0, "most": 4000.0}
    # 8 images of 12.5 ms beside 1.9 s.
    assert row["decoding_share"] == 0.05


def test_the_section_of_one_network(monkeypatch):
    monkeypatch.setattr(training, "_times", lambda case: times(1.02))
    section = training.measure(Options(rounds=2, threads=2, quick=True))
    assert [row["mode"] for row in section["steps"]] == ["vgg", "resnet50"]
    rows = section["decoding"]["rows"]
    assert [row["workers"] for row in rows] == [0, 1, 2]
    assert all(row["pictures_per_second"]["least"] > 0 for row in rows)
    assert "1.02 (1.02 to 1.02)" in training.table(section)


def test_images_have_the_size_and_weight_of_photographs(tmp_path):
    folder.make_images(str(tmp_path / "a"), 9)
    folder.make_images(str(tmp_path / "b"), 9)
    paths = list_images(str(tmp_path / "a"))
    assert len(paths) == 9
    images = [read_image(path) for path in paths]
    assert {image.shape[1::-1] for image in images} == set(folder.SIDES)
    # Noise and edges: more than a bit a pixel, as photographs of this quality have.
    assert all(path.stat().st_size > 20000 for path in (tmp_path / "a").iterdir())
    assert len({image.tobytes() for image in images}) == 9
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
