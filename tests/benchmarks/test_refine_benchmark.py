"""The benchmarks of `dgl refine` on made maps: figures by method, selected thresholds, several seeds."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import refine_teachers
from benchmarks.refine import ROWS, measure, row
from dgl.data.sample import Sample


class _Maps:
    """Maps whose positive part is the left half for one method, the true box for the others."""

    image_size = 224

    def __call__(self, images, class_index):
        box, half = np.zeros((2, len(images), 28, 28), "float32")
        box[:, 7:21, 7:21] = 1
        half[:, :, :14] = 1
        maps = {("dgl", "a"): half, ("refined", "a"): box, ("foreground", "image"): box}
        return type("P", (), {"maps": maps})


def test_figures_by_method(tmp_path):
    mask = np.zeros((100, 100), np.uint8)
    mask[25:75, 25:75] = 255
    mask_path, samples = str(tmp_path / "mask.png"), []
    Image.fromarray(mask).save(mask_path)
    for number in range(10):
        path = str(tmp_path / f"{number}.png")
        Image.new("RGB", (100, 100)).save(path)
        samples.append(Sample(str(number), path, 0, ((25, 25, 75, 75),), (mask_path,)))
    boxes, masks = measure(_Maps(), samples, dict.fromkeys(ROWS, 0.5))
    rows = [row(name, [boxes] * 2, [{name: 0.5}] * 2, 50, [masks] * 2) for name in ROWS]
    assert [one["method"] for one in rows] == ["dgl", "dgl, pas", "refined", "foreground"]
    assert [one["max_box_acc"]["seeds"] for one in rows] == [[0, 0], [0, 0], [100, 100], [100, 100]]
    assert rows[2]["iou_70"]["mean"] == pytest.approx(100)
    assert rows[2]["box_acc"]["interval"] == [100, 100]
    assert rows[0]["thresholds"] == [0.5, 0.5]
    assert rows[2]["pxap"]["mean"] > 95 > 75 > rows[0]["pxap"]["mean"]


def split_of(folder, count=10):
    """Images with a bright square, which is the object."""
    samples = []
    for number in range(count):
        path = str(folder / f"{number}.png")
        image = np.random.RandomState(number).normal(60, 12, (96, 96, 3))
        image[24:72, 24:72] += 120
        Image.fromarray(np.clip(image, 0, 255).astype("uint8")).save(path)
        samples.append(Sample(str(number), path, 0, ((24, 24, 72, 72),)))
    return refine_teachers.Split(samples, 96)


def test_teachers_beside_their_pupils(tmp_path):
    split = split_of(tmp_path)
    box, half, peak = np.zeros((3, 10, 32, 32), "float32")
    box[:, 8:24, 8:24] = 1
    half[:, :, :16] = 1
    rows, columns = np.mgrid[:32, :32] - 15.5
    peak[:] = np.exp(-(rows**2 + columns**2) / 72)
    maps = {"dgl@a": half, "dgl@b": box, "cam@head": half}
    assert refine_teachers.selected(split, maps, "dgl")[0] == "dgl@b"
    masks = refine_teachers.masks_of(split, peak, 0.2, (32, 32), (0, 3, 6, 9))["masks"]
    taught = masks.min(axis=(1, 2)) >= 0
    assert np.flatnonzero(taught).tolist() == [0, 3, 6, 9]
    assert ((masks[taught] > 0.5) == box[taught]).mean() > 0.95

    def seed(number):
        """Every method's pupil is right but Eigen-CAM's; its maps are as good as its pupil."""
        good, bad = (split.measure(raw, 0.5) for raw in (box, half))
        return {
            method: (f"{method}@a", *[bad if method == "eigencam" else good] * 2, 0.5, 0.5)
            for method in refine_teachers.TEACHERS
        }

    record = refine_teachers.record_of([seed(1), seed(2)], 50)
    rows = {one["method"]: one for one in record["rows"]}
    assert list(rows) == list(refine_teachers.TEACHERS)
    assert rows["eigencam"]["pupil"]["iou_50"]["mean"] == 0 and rows["dgl"]["layers"] == ["a", "a"]
    differences = {one["b"]: one["difference"] for one in record["comparisons"]}
    assert differences["eigencam's pupil"] > 60 and differences["cam's teacher"] == 0
    assert record["rank_correlation"]["iou_50"] == pytest.approx(1)
