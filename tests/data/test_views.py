"""The view of an image that each protocol, and the demo, has."""

import cv2
import numpy as np
import pytest

from dgl.data.views import GEOMETRIES, WSOL_MAP_SIZE, demo_input, fixed_resize


def noise(height=60, width=90, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype="uint8")


def test_the_two_protocols_and_their_descriptions():
    assert set(GEOMETRIES) == {"fixed_threshold", "wsolevaluation"}
    assert "crop" in GEOMETRIES["fixed_threshold"].description
    assert "without a crop" in GEOMETRIES["wsolevaluation"].description


@pytest.mark.parametrize("size, side", [(224, 256), (112, 128), (448, 512), (299, 342), (64, 73)])
def test_the_crop_keeps_its_ratio_at_other_sizes(size, side):
    assert fixed_resize(size) == side


@pytest.mark.parametrize("size, side", [(224, 256), (112, 128)])
def test_fixed_threshold_is_a_center_crop(size, side):
    image = noise()
    border = (side - size) // 2
    view = GEOMETRIES["fixed_threshold"].view(image, [(18, 12, 63, 48)], size)
    resized = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(
        view.image, resized[border : border + size, border : border + size]
    )
    assert (view.image.dtype, view.map_size) == (np.dtype("uint8"), size)
    # 18 / 90 and 12 / 60 are a fifth, 63 / 90 is 0.7 and 48 / 60 is 0.8 of the side.
    expected = np.array([[0.2, 0.2, 0.7, 0.8]]) * side - border
    np.testing.assert_allclose(view.boxes, expected, atol=1e-9)


def test_fixed_threshold_clips_and_drops_boxes():
    boxes = [(0, 0, 90, 60), (0, 0, 4, 60), (45, 30, 90, 60)]
    view = GEOMETRIES["fixed_threshold"].view(noise(), boxes, 224)
    # The second lies in the 16 pixels that the crop takes away at the left.
    np.testing.assert_allclose(view.boxes, [[0, 0, 224, 224], [112, 112, 224, 224]], atol=1e-9)


@pytest.mark.parametrize("size", [224, 112, 299])
def test_wsolevaluation_squashes_and_measures_at_224(size):
    image = noise()
    view = GEOMETRIES["wsolevaluation"].view(image, [(10, 7, 61, 50)], size)
    squashed = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(view.image, squashed)
    assert view.map_size == WSOL_MAP_SIZE == 224
    expected = [int(10 * 224 / 90), int(7 * 224 / 60), int(61 * 224 / 90), int(50 * 224 / 60)]
    np.testing.assert_array_equal(view.boxes, [expected])
    assert view.boxes.dtype.kind == "i"


@pytest.mark.parametrize("protocol", sorted(GEOMETRIES))
def test_a_picture_without_boxes(protocol):
    assert GEOMETRIES[protocol].view(noise(), (), 112).boxes.shape == (0, 4)


def test_demo_input_is_bgr_and_samples_as_tensorflow_1_does():
    """Output pixel i lies at i * input / output: 2 to 4 pixels repeats no half-pixel shift."""
    image = np.zeros((2, 2, 3), "uint8")
    image[..., 0] = [[0, 100], [200, 40]]
    image[..., 2] = 7
    result = demo_input(image, 4)
    expected = [[0, 50, 100, 100], [100, 85, 70, 70], [200, 120, 40, 40], [200, 120, 40, 40]]
    np.testing.assert_allclose(result[..., 2], expected, atol=1e-4)
    np.testing.assert_allclose(result[..., 0], 7, atol=1e-5)
    np.testing.assert_array_equal(result[..., 1], 0)
    assert (result.dtype, result.shape) == (np.dtype("float32"), (4, 4, 3))


def test_demo_input_shrinks_by_picking_pixels_and_does_not_round():
    image = noise(32, 48)
    np.testing.assert_array_equal(demo_input(image, 16), image[::2, ::3, ::-1])
    grown = demo_input(image, 80)
    assert (grown != np.round(grown)).any()
