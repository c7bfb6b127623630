"""The benchmark of `dgl refine` on made maps: figures by method, selected thresholds, several seeds."""

import numpy as np
import pytest

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
    from PIL import Image

    samples = []
    for number in range(10):
        path = str(tmp_path / f"{number}.png")
        Image.fromarray(np.full((100, 100, 3), 7, np.uint8)).save(path)
        samples.append(Sample(str(number), path, 0, ((25, 25, 75, 75),)))
    seeds = [measure(_Maps(), samples, dict.fromkeys(ROWS, 0.5))] * 2
    rows = [row(name, seeds, [{name: 0.5}] * 2, 50) for name in ROWS]
    assert [one["method"] for one in rows] == ["dgl", "dgl, pas", "refined", "foreground"]
    assert [one["max_box_acc"]["seeds"] for one in rows] == [[0, 0], [0, 0], [100, 100], [100, 100]]
    assert rows[2]["iou_70"]["mean"] == pytest.approx(100)
    assert rows[2]["box_acc"]["interval"] == [100, 100]
    assert rows[0]["thresholds"] == [0.5, 0.5]
