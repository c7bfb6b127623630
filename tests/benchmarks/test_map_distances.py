"""The benchmarks of fidelity and of alpha measure distances between maps."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import fidelity
from benchmarks.alpha_limit import LIMIT, distance, measure
from dgl.data.sample import Sample


def maps_of(path, move=0.0):
    maps = {}
    for layer in ("0|add", "1|conv5_3"):
        for seed in (1, 7):
            score_map = np.arange(16.0).reshape(4, 4) * seed
            score_map[1, 1] += move * 15 * seed if seed == 7 and layer == "1|conv5_3" else 0
            maps[f"vgg|0{layer}|{seed}"] = score_map
    np.savez(str(path), **maps)
    return str(path)


def test_largest_and_mean_by_layer(tmp_path):
    rows = fidelity.compare(maps_of(tmp_path / "a.npz"), maps_of(tmp_path / "b.npz", 0.16))
    assert rows == [
        ["vgg", "0 add", "0e+00", "0e+00", "0e+00"],
        ["vgg", "1 conv5_3", "0e+00", "2e-01", "1e-02"],
    ]


def test_distance_is_of_normalized_maps():
    raw = np.array([[0.0, 1.0], [2.0, 4.0]], "float32")
    assert distance(raw, 3 * raw + 1) == pytest.approx((0, 0), abs=1e-7)
    largest, mean = distance(raw, np.array([[0.0, 1.0], [4.0, 4.0]], "float32"))
    assert largest == pytest.approx(0.5) and mean == pytest.approx(0.125)


class _Maps:
    """Maps at alpha 10 are those at infinity but for one place of the second image."""

    image_size = 32

    def __call__(self, images, class_index):
        limit = np.linspace(0, 1, 16, dtype="float32").reshape(1, 4, 4).repeat(len(images), 0)
        near = limit.copy()
        near[1, 0, 1] += 0.25
        return type("P", (), {"maps": {("dgl(pa=10)", "a"): near, ("dgl(pa=inf)", "a"): limit}})


def test_rows_by_layer_and_alpha(tmp_path):
    samples = []
    for number in range(2):
        path = str(tmp_path / f"{number}.png")
        Image.new("RGB", (32, 32)).save(path)
        samples.append(Sample(str(number), path, 0, ((8, 8, 31, 31),)))
    ten, limit = measure(_Maps(), samples, ["a"], ["10"])
    assert (ten["alpha"], limit["alpha"]) == ("10", LIMIT)
    assert ten["median_largest_difference"] == pytest.approx(0.125, abs=1e-4)
    assert ten["most_largest_difference"] == pytest.approx(0.25, abs=1e-4)
    assert "median_largest_difference" not in limit
