"""The speed benchmark's section on folders: its images, rows and table."""

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
