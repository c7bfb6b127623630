"""The speed benchmark's section on folders: its images, rows and table."""

import json
import subprocess
import sys

import pytest
from sample_images import TESTS

from benchmarks.speed.sections import folder
from dgl.data import list_images, read_image


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
    for path in paths:
        with open(path, "rb") as one, open(path.replace("/a/", "/b/"), "rb") as other:
            assert one.read() == other.read()


def test_throughput_is_the_share_of_each_round():
    seconds = {"session": [9.0, 10.0, 10.0], "demo": [10.0, 10.0, 20.0]}
    row = folder.throughput_row("net", 200, seconds, 0.9)
    assert row["share"] == {"median": 0.9, "least": 0.5, "most": 1.0}
    assert row["demo_pictures_per_second"]["most"] == 20.0
    assert row["bound"]["met"] is True
    assert "bound" not in folder.throughput_row("net", 200, seconds)


@pytest.mark.parametrize("runs, extrapolated", [(4, False), (2, True)])
def test_single_runs_are_told_from_extrapolated_ones(runs, extrapolated):
    row = folder.singles_row(4, [2.0, 4.0], [8.0] * runs)
    assert row["extrapolated"] is extrapolated
    assert row["times"] == {"median": 12.0, "least": 8.0, "most": 16.0}
    assert row["bound"]["met"] is False


def test_memory_by_rounds():
    row = folder.memory_row(200, 2000, [[100.0, 200.0], [105.0, 210.0]])
    assert row["ratio"]["median"] == 1.05 and row["bound"]["met"] is True


def test_table():
    section = {
        "throughput": [folder.throughput_row("net", 8, {"session": [1.0], "demo": [2.0]}, 0.9)],
        "singles": folder.singles_row(4, [2.0], [20.0]),
        "memory": folder.memory_row(2, 20, [[100.0], [101.0]]),
    }
    lines = folder.table(section).splitlines()
    assert "0.50 (0.50\u20130.50)" in lines[2] and "at least 0.9 (missed)" in lines[2]
    assert "time of 4 runs (from 1)" in lines[3] and "40.0" in lines[3]
    assert "1.01" in lines[4] and "missed" not in lines[4]


@pytest.mark.slow
def test_a_worker_times_the_session_and_the_demo(tmp_path):
    folder.make_images(str(tmp_path / "in"), 3)
    flags = ["--data_path", str(tmp_path / "in"), "--outdir", str(tmp_path / "out"), "--gpu=-1"]
    command = [sys.executable, "-m", "benchmarks.speed.folder_run"]
    found = []
    for rounds in ("2", "0"):
        done = subprocess.run(
            command + [rounds] + flags + ["--batch", "2"],
            cwd=TESTS + "/..",
            stdout=subprocess.PIPE,
            check=True,
        )
        found.append(json.loads(done.stdout.decode()))
    assert [len(found[0][key]) for key in ("session", "demo")] == [2, 2]
    assert all(value > 0 for values in found[0].values() for value in values)
    assert 50 < found[1]["megabytes"] < 10000
    assert (tmp_path / "out" / "results.jsonl").exists()
