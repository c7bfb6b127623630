"""Resizing and cropping of images with their boxes, and the views that networks take.

Examples first, then random images and boxes.
"""

import itertools

import cv2
import numpy as np
import pytest
from generators import boxes_of, whole_boxes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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
from dgl.evaluation.saved_maps import scaled_boxes

SIZE = 32


@pytest.mark.parametrize("seed", range(15))
def test_resize_bilinear_tf1_against_tensorflow(seed):
    tf = pytest.importorskip("tensorflow")
    random = np.random.RandomState(seed)
    # As in real images, and in images of a few pixels.
    rows, columns, height, width = random.randint(1, 400 if seed < 5 else 9, 4)
    image = random.randint(0, 256, (rows, columns, 3)).astype(np.uint8)
    with tf.device("/cpu:0"):
        graph = tf.Graph()
        with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
            resized = tf.compat.v1.image.resize_bilinear(image[np.newaxis], [height, width])
            expected = session.run(resized)[0]
    found = resize_bilinear_tf1(image, height, width)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert found.dtype == np.float32
    assert image.min() - 1e-3 <= found.min() and found.max() <= image.max() + 1e-3


@pytest.mark.parametrize("side", [49, 98, 123, 300, 1000])
def test_squash_keeps_whole_results_whole(side):
    # In floating point k * (224 / side) may fall just below a whole number.
    image = np.zeros((side, side, 3), np.uint8)
    corners = [k for k in range(side + 1) if (k * 224) % side == 0]
    boxes = [(k, k, side, side) for k in corners]
    assert squash(image, boxes, 224)[1][:, 0].tolist() == [k * 224 // side for k in corners]


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
    expected = [[34, 64, 84, 144], [0, 0, 224, 224], [0, 0, 0.5, 224], [34, 84, 34, 84]]
    np.testing.assert_allclose(moved, expected, atol=1e-9)


def noise(height=60, width=90, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype="uint8")


@pytest.mark.parametrize("size, side", [(224, 256), (112, 128), (448, 512), (299, 342), (64, 73)])
def test_the_crop_keeps_its_ratio_at_other_sizes(size, side):
    assert fixed_resize(size) == side


@pytest.mark.parametrize("size, side", [(224, 256), (112, 128)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_fixed_threshold_is_a_center_crop(size, side, dtype):
    image = noise().astype(dtype)
    border = (side - size) // 2
    view = GEOMETRIES["fixed_threshold"].view(image, [(18, 12, 63, 48)], size)
    resized = cv2.resize(image, (side, side))
    np.testing.assert_array_equal(view.image, resized[border:-border, border:-border])
    assert view.image.dtype == dtype and view.image.flags.c_contiguous and view.map_size == size
    # 18 / 90 and 12 / 60 are a fifth, 63 / 90 is 0.7 and 48 / 60 is 0.8 of the side.
    expected = np.array([[0.2, 0.2, 0.7, 0.8]]) * side - border
    np.testing.assert_allclose(view.boxes, expected, atol=1e-9)


@pytest.mark.parametrize("size", [224, 112, 299])
def test_wsolevaluation_squashes_and_measures_at_224(size):
    image = noise(375, 500)
    boxes = [(10.0, 20.0, 499.0, 374.0), (0, 0, 500, 375)]
    view = GEOMETRIES["wsolevaluation"].view(image, boxes, size)
    np.testing.assert_array_equal(view.image, cv2.resize(image, (size, size)))
    assert view.map_size == WSOL_MAP_SIZE == 224
    # 10 * 224 / 500 = 4.48, 20 * 224 / 375 = 11.95, 499 * ... = 223.55, 374 * ... = 223.40
    assert view.boxes.tolist() == [[4, 11, 223, 223], [0, 0, 224, 224]]
    assert view.boxes.dtype == np.int64


def test_demo_input_is_bgr_and_samples_as_tensorflow_1_does():
    """Output pixel i lies at i * input / output: 2 to 4 pixels repeats no half-pixel shift."""
    image = np.dstack([[[0, 100], [200, 40]], np.zeros((2, 2)), np.full((2, 2), 7)])
    result = demo_input(image.astype("uint8"), 4)
    red = [[0, 50, 100, 100], [100, 85, 70, 70], [200, 120, 40, 40], [200, 120, 40, 40]]
    expected = np.dstack([np.full((4, 4), 7), np.zeros((4, 4)), red])
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32


# Of the resized side, so that nothing is interpolated; a pixel is its column and its row.
SIDE = SIZE + TRAINING_BORDER
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
RAMP = np.dstack([COLUMNS, ROWS, COLUMNS]).astype("uint8")


def test_crop_and_flip_cover_every_possibility():
    """Every offset from 0 to 32 in both directions, a mirrored image half of the time."""
    rng = np.random.RandomState(0)
    lefts, tops, flips = set(), set(), []
    for _ in range(1000):
        view = random_training_view(RAMP, SIZE, rng)
        left, top = view.min(axis=(0, 1))[:2]
        flips.append(view[0, 0, 0] > left)
        crop = RAMP[top : top + SIZE, left : left + SIZE]
        np.testing.assert_array_equal(view, crop[:, ::-1] if flips[-1] else crop)
        lefts.add(left)
        tops.add(top)
    assert lefts == tops == set(range(TRAINING_BORDER + 1))
    # Four standard deviations around a half.
    assert abs(np.mean(flips) - 0.5) < 4 * 0.5 / np.sqrt(1000)


def test_augment_takes_its_pixels_from_the_resized_image():
    image = noise(90, 70)
    resized = cv2.resize(image.astype("float32"), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    view = random_training_view(image, SIZE, np.random.RandomState(3)).astype("float32")
    places = itertools.product(range(TRAINING_BORDER + 1), repeat=2)
    crops = [resized[top : top + SIZE, left : left + SIZE] for top, left in places]
    crops += [crop[:, ::-1] for crop in crops]
    # Back to uint8 costs less than one gray level.
    assert any(np.abs(view - crop).max() < 1 for crop in crops)


def test_center_view_is_the_middle():
    middle = slice(TRAINING_BORDER // 2, TRAINING_BORDER // 2 + SIZE)
    np.testing.assert_array_equal(validation_view(RAMP, SIZE), RAMP[middle, middle])
    view = validation_view(noise(), 50)
    assert view.shape == (50, 50, 3) and view.dtype == np.uint8


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError):
        resize_bilinear_tf1(np.zeros((0, 4, 3), np.uint8), 2, 2)
    with pytest.raises(ValueError):
        resize_center_crop(np.zeros((9, 9, 3), np.uint8), (), 224, 256)


sizes = st.integers(1, 24)


@st.composite
def images_and_boxes(draw):
    """(uint8 (H, W, 3), list of boxes within it)."""
    height, width = draw(sizes), draw(sizes)
    image = draw(arrays(np.uint8, (height, width, 3)))
    boxes = boxes_of(st.floats(0, width), st.floats(0, height))
    return image, draw(st.lists(boxes, max_size=3))


@given(images_and_boxes(), sizes)
def test_a_squashed_box_and_back(sample, size):
    image, boxes = sample
    squashed, found = squash(image, boxes, size)
    assert squashed.shape == (size, size, 3) and squashed.dtype == np.uint8
    assert image.min() <= squashed.min() and squashed.max() <= image.max()
    assert found.shape == (len(boxes), 4)
    assert ((found >= 0) & (found <= size)).all() and (found[:, 2:] >= found[:, :2]).all()
    height, width = image.shape[:2]
    scale = np.array([width, height] * 2) / size
    # Truncated to whole pixels of the view, downwards.
    lost = np.reshape(boxes, (-1, 4)) - found * scale
    assert (lost >= -1e-9).all() and (lost < scale * (1 + 1e-9)).all()


@given(sizes, st.data())
def test_an_image_of_the_right_size_stays_as_it_is(size, data):
    image = data.draw(arrays(np.uint8, (size, size, 3)))
    boxes = data.draw(st.lists(whole_boxes(size), max_size=3))
    same, found = squash(image, boxes, size)
    np.testing.assert_array_equal(same, image)
    assert found.tolist() == [list(box) for box in boxes]
    same, cropped = resize_center_crop(image, boxes, size, size)
    np.testing.assert_array_equal(same, image)
    # What touches the crop from outside has no part in it.
    inside = [b for b in boxes if b[0] < size and b[1] < size and b[2] > 0 and b[3] > 0]
    assert cropped.tolist() == [list(map(float, box)) for box in inside]
    np.testing.assert_array_equal(resize_bilinear_tf1(image, size, size), image)


@given(images_and_boxes(), sizes, sizes)
def test_a_cropped_box_lies_in_the_crop(sample, first, second):
    image, boxes = sample
    crop, resize = sorted([first, second])
    cropped, found = resize_center_crop(image, boxes, resize, crop)
    assert cropped.shape == (crop, crop, 3) and len(found) <= len(boxes)
    assert ((found >= 0) & (found <= crop)).all() and (found[:, 2:] >= found[:, :2]).all()
    height, width = image.shape[:2]
    start = (resize - crop) // 2
    back = (found + start) * np.array([width, height] * 2) / resize
    # Every box that is left is the part of one of the given ones, back in the image.
    for box in back:
        assert any(
            (box[:2] >= np.array(b[:2]) - 1e-9).all() and (box[2:] <= np.array(b[2:]) + 1e-9).all()
            for b in boxes
        )


@given(images_and_boxes())
def test_boxes_of_saved_maps_are_those_of_the_squashed_image(sample):
    image, boxes = sample
    found = scaled_boxes(boxes, image.shape[1::-1])
    np.testing.assert_array_equal(found, squash(image, boxes, 224)[1])
