"""Resizing and cropping of images with their boxes."""

import cv2
import numpy as np
import pytest

from dgl.data.views import resize_bilinear_tf1, resize_center_crop, squash


def bilinear_by_definition(image, height, width):
    """One output pixel at a time in float64."""
    rows, columns = image.shape[:2]
    result = np.zeros((height, width) + image.shape[2:])
    for i in range(height):
        for j in range(width):
            y, x = i * rows / float(height), j * columns / float(width)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            top = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
            bottom = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
            result[i, j] = top * (1 - (y - y0)) + bottom * (y - y0)
    return result


SIZES = [
    ((7, 9), (4, 5)),
    ((5, 4), (11, 13)),
    ((8, 8), (8, 8)),
    ((1, 6), (3, 1)),
    ((16, 10), (8, 5)),
]


@pytest.mark.parametrize("size_in, size_out", SIZES)
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_resize_bilinear_tf1_by_definition(size_in, size_out, channels):
    shape = size_in + (() if channels is None else (channels,))
    image = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    result = resize_bilinear_tf1(image, *size_out)
    assert result.dtype == np.float32
    np.testing.assert_allclose(
        result, bilinear_by_definition(image.astype(float), *size_out), atol=1e-3
    )


def test_resize_bilinear_tf1_same_size_is_exact():
    image = np.random.RandomState(1).randint(0, 256, (6, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(resize_bilinear_tf1(image, 6, 5), image)


def test_resize_bilinear_tf1_halving_takes_every_second_pixel():
    # Without half-pixel centers the sampling points are pixels 0, 2, 4, ...: nothing is averaged.
    image = np.random.RandomState(2).randint(0, 256, (8, 6, 3)).astype(np.uint8)
    np.testing.assert_array_equal(resize_bilinear_tf1(image, 4, 3), image[::2, ::2])


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


@pytest.mark.parametrize("shape, size", [((0, 4, 3), (2, 2)), ((4, 4, 3), (0, 2)), ((4,), (2, 2))])
def test_resize_bilinear_tf1_refuses_nothing(shape, size):
    with pytest.raises(ValueError):
        resize_bilinear_tf1(np.zeros(shape, np.uint8), *size)


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


def test_no_boxes():
    image = np.zeros((30, 40, 3), np.uint8)
    assert squash(image, (), 16)[1].shape == (0, 4)
    assert resize_center_crop(image, (), 20, 16)[1].shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_resize_center_crop_picture(dtype):
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
        moved,
        [[34, 64, 84, 144], [0, 0, 224, 224], [0, 0, 0.5, 224], [34, 84, 34, 84]],
        atol=1e-9,
    )


@pytest.mark.parametrize("seed", range(10))
def test_boxes_move_with_the_picture(seed):
    random = np.random.RandomState(seed)
    height, width = random.randint(100, 400, 2)
    x0, y0 = random.randint(20, 40, 2)
    x1, y1 = x0 + random.randint(20, width - 59), y0 + random.randint(20, height - 59)
    image = np.zeros((height, width, 3), np.uint8)
    image[y0:y1, x0:x1] = 255
    for moved, boxes in (
        squash(image, [(x0, y0, x1, y1)], 224),
        resize_center_crop(image, [(x0, y0, x1, y1)], 256, 224),
    ):
        rows, columns = np.nonzero(moved[:, :, 0] > 127)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        # Truncation takes up to a pixel, the interpolated edge up to another.
        np.testing.assert_allclose(boxes[0], found, atol=2.0)


@pytest.mark.parametrize("resize, crop", [(224, 256), (224, 0)])
def test_crop_has_to_fit(resize, crop):
    with pytest.raises(ValueError):
        resize_center_crop(np.zeros((9, 9, 3), np.uint8), (), resize, crop)
