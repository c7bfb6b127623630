"""The center Gaussian: its values, its symmetry, and that it sees nothing of the picture."""

import numpy as np
import pytest
from tiny_network import N, TinyNetwork

from dgl.attribution.center import SIGMA, gaussian

TINY = TinyNetwork(seed=9)


@pytest.mark.parametrize("side", [1, 2, 7, 8, 224])
def test_formula(side):
    found = gaussian(side)
    assert found.shape == (side, side)
    middle = (side - 1) / 2
    for row, column in {(0, 0), (side // 2, side // 2), (0, side // 3), (side - 1, side // 2)}:
        distance = np.hypot(row - middle, column - middle)
        expected = np.exp(-(distance**2) / (2 * (SIGMA * side) ** 2))
        assert found[row, column] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("side", [7, 8])
def test_symmetry(side):
    found = gaussian(side)
    for other in (found.T, found[::-1], found[:, ::-1]):
        np.testing.assert_allclose(found, other, rtol=1e-14)
    assert np.unravel_index(found.argmax(), found.shape) == ((side - 1) // 2,) * 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_map_an_image_of_the_input_s_size(dtype):
    found = TINY.maps(["center"], dtype=dtype, image_size=32)
    assert list(found) == [("center", "image")]
    assert found["center", "image"].dtype == dtype
    np.testing.assert_allclose(found["center", "image"], [gaussian(32)] * N, rtol=1e-6)


def test_size_by_default():
    assert TINY.maps(["center"], [])["center", "image"].shape == (N, 224, 224)
