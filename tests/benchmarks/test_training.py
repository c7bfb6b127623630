"""The section `training`: its rows and bounds from given times, and images to decode."""

import pytest

from benchmarks.speed.options import Options
from benchmarks.speed.sections import training
from benchmarks.speed.training_step import Case

CASE = Case("vgg", 1.0, batch=8, size=224, steps=2, rounds=3)


def times(slower):
    bare = [1.0, 2.0, 4.0]
    trainer = [slower * seconds for seconds in bare]
    return {
        "bare": bare,
        "trainer": trainer,
        "bare_processor": [1.9] * 3,
        "trainer_processor": [1.9 * 1.25] * 3,
    }


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
    assert section["decoding"]["bound"]["bound"] == 1.8
    text = training.table(section)
    assert "1.02 (1.02 to 1.02)" in text and "| images a second" in text
