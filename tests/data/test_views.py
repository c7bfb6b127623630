"""Resizing and cropping of images with their boxes, and the views that networks take."""

import cv2
import numpy as np
import pytest

from dgl.data.views import (
    GEOMETRIES,
    TRAINING_BORDER,
    WSOL_MAP_SIZE,
    demo_input,
    fixed_resize,
    random_training_view,
    resize_bilinear_tf1,
    resize_center_crop,
    squash,
    validation_view,
)

SIZE = 32


@pytest.mark.parametrize("seed", range(5))
def test_resize_bilinear_tf1_against_tensorflow(seed):
    """Runs TensorFlow in this process."""
    tf = pytest.importorskip("tensorflow")
    random = np.random.RandomState(seed)
    rows, columns, height, width = random.randint(1, 400, 4)
    image = random.randint(0, 256, (rows, columns, 3)).astype(np.uint8)
    with tf.device("/cpu:0"):
        graph = tf.Graph()
        with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
            expected = session.run(
                tf.compat.v1.image.resize_bilinear(image[np.newaxis], [height, width])
            )[0]
    np.testing.assert_allclose(resize_bilinear_tf1(image, height, width), expected, atol=1e-3)


def test_squash_truncates_scaled_boxes():
    image = np.random.RandomState(0).randint(0, 256, (375, 500, 3)).astype(np.uint8)
    squashed, boxes = squash(image, ((10.0, 20.0, 499.0, 374.0), (0, 0, 500, 375)), 224)
    np.testing.assert_array_equal(squashed, cv2.resize(image, (224, 224)))
    # 10 * 224 / 500 = 4.48, 20 * 224 / 375 = 11.95, 499 * ... = 223.55, 374 * ... = 223.40
    assert boxes.tolist() == [[4, 11, 223, 223], [0, 0, 224, 224]]
    assert boxes.dtype == np.int64


@pytest.mark.parametrize("side", [49, 98, 123, 300, 1000])
def test_squash_keeps_whole_results_whole(side):
    # In floating point k * (224 / side) may fall just below a whole number.
    image = np.zeros((side, side, 3), np.uint8)
    corners = [k for k in range(side + 1) if (k * 224) % side == 0]
    boxes = [(k, k, side, side) for k in corners]
    assert squash(image, boxes, 224)[1][:, 0].tolist() == [k * 224 // side for k in corners]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_resize_center_crop_image(dtype):
    image = np.random.RandomState(3).randint(0, 256, (90, 70, 3)).astype(dtype)
    cropped, _ = resize_center_crop(image, (), 256, 224)
    assert cropped.dtype == dtype and cropped.flags.c_contiguous
    np.testing.assert_array_equal(cropped, cv2.resize(image, (256, 256))[16:240, 16:240])


def test_resize_center_crop_boxes():
    image = np.zeros((128, 512, 3), np.uint8)
    boxes = [
        (100, 40, 200, 80),  # inside: x / 2 - 16, y * 2 - 16
        (0, 0, 512, 128),  # the whole image becomes the whole crop
        (0, 0, 32, 128),  # ends where the crop begins: dropped
        (0, 0, 33, 128),  # reaches half a pixel into it
        (480, 0, 512, 128),  # begins where the crop ends: dropped
        (0, 0, 512, 7),  # above it: dropped
        (100, 50, 100, 50),  # without area, inside: kept
    ]
    _, moved = resize_center_crop(image, boxes, 256, 224)
    np.testing.assert_allclose(
        moved, [[34, 64, 84, 144], [0, 0, 224, 224], [0, 0, 0.5, 224], [34, 84, 34, 84]], atol=1e-9
    )


def noise(height=60, width=90, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype="uint8")


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


def ramp(axis):
    """An image of the resized side, so that nothing is interpolated; each pixel is its place."""
    side = SIZE + TRAINING_BORDER
    places = np.arange(side, dtype="uint8")
    plane = np.broadcast_to(places if axis == 1 else places[:, None], (side, side))
    return np.repeat(plane[..., None], 3, axis=2)


def test_crop_and_flip_cover_every_possibility():
    """Every offset from 0 to 32, both ways round, and each about as often as it should be."""
    offsets, flips = [], []
    rng = np.random.RandomState(0)
    for _ in range(1000):
        view = random_training_view(ramp(1), SIZE, rng)
        row = view[0, :, 0].astype(int)
        flipped = bool(row[0] > row[-1])
        left = row[-1] if flipped else row[0]
        expected = np.arange(left, left + SIZE)
        np.testing.assert_array_equal(row, expected[::-1] if flipped else expected)
        offsets.append(left)
        flips.append(flipped)
    assert set(offsets) == set(range(TRAINING_BORDER + 1))
    # Four standard deviations around a half.
    assert abs(np.mean(flips) - 0.5) < 4 * 0.5 / np.sqrt(1000)


def test_crop_covers_every_row_offset_and_never_flips_upside_down():
    rng = np.random.RandomState(0)
    tops = set()
    for _ in range(400):
        column = random_training_view(ramp(0), SIZE, rng)[:, 0, 0].astype(int)
        np.testing.assert_array_equal(np.diff(column), 1)
        tops.add(column[0])
    assert tops == set(range(TRAINING_BORDER + 1))


def test_augment_takes_its_pixels_from_the_resized_image():
    image = noise(90, 70)
    side = SIZE + TRAINING_BORDER
    resized = cv2.resize(image.astype("float32"), (side, side), interpolation=cv2.INTER_LINEAR)
    view = random_training_view(image, SIZE, np.random.RandomState(3)).astype("float32")
    crops = (
        resized[top : top + SIZE, left : left + SIZE]
        for top in range(TRAINING_BORDER + 1)
        for left in range(TRAINING_BORDER + 1)
    )
    # Back to uint8 costs less than one gray level.
    assert any(
        min(np.abs(view - crop).max(), np.abs(view - crop[:, ::-1]).max()) < 1 for crop in crops
    )


def test_center_view_is_the_middle():
    for axis in (0, 1):
        expected = ramp(axis)[
            TRAINING_BORDER // 2 : TRAINING_BORDER // 2 + SIZE,
            TRAINING_BORDER // 2 : TRAINING_BORDER // 2 + SIZE,
        ]
        np.testing.assert_array_equal(validation_view(ramp(axis), SIZE), expected)
    assert validation_view(noise(), 50).shape == (50, 50, 3)
    assert validation_view(noise(), 50).dtype == np.uint8


def test_sizes_that_cannot_be():
    for call in (
        lambda: resize_bilinear_tf1(np.zeros((0, 4, 3), np.uint8), 2, 2),
        lambda: resize_center_crop(np.zeros((9, 9, 3), np.uint8), (), 224, 256),
    ):
        with pytest.raises(ValueError):
            call()
