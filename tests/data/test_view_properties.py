"""Random images and boxes through the resizes of the demo and of the two protocols."""

import numpy as np
from generators import whole_boxes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dgl.data.views import resize_bilinear_tf1, resize_center_crop, squash
from dgl.evaluation.saved_maps import scaled_boxes

sizes = st.integers(1, 24)


@st.composite
def images_and_boxes(draw):
    """(uint8 (H, W, 3), list of boxes within it)."""
    height, width = draw(sizes), draw(sizes)
    image = draw(arrays(np.uint8, (height, width, 3)))
    xs = st.tuples(st.floats(0, width), st.floats(0, width)).map(sorted)
    ys = st.tuples(st.floats(0, height), st.floats(0, height)).map(sorted)
    box = st.tuples(xs, ys).map(lambda p: (p[0][0], p[1][0], p[0][1], p[1][1]))
    return image, draw(st.lists(box, max_size=3))


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


def _naive_tf1(image, height, width):
    """Pixel by pixel in float64."""
    rows, columns = image.shape[:2]
    result = np.zeros((height, width) + image.shape[2:])
    for y in range(height):
        for x in range(width):
            sy, sx = (np.float32(y) * (np.float32(rows) / np.float32(height)),
                      np.float32(x) * (np.float32(columns) / np.float32(width)))  # fmt: skip
            top, left = min(int(sy), rows - 1), min(int(sx), columns - 1)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            dy, dx = float(sy) - top, float(sx) - left
            upper = image[top, left] * (1 - dx) + image[top, right] * dx
            lower = image[bottom, left] * (1 - dx) + image[bottom, right] * dx
            result[y, x] = upper * (1 - dy) + lower * dy
    return result


@given(images_and_boxes(), sizes, sizes)
def test_the_demo_s_resize_is_the_rule_of_tensorflow_1(sample, height, width):
    image = sample[0].astype(np.float64)
    found = resize_bilinear_tf1(sample[0], height, width)
    assert found.dtype == np.float32 and found.shape == (height, width, 3)
    assert found.min() >= image.min() - 1e-3 and found.max() <= image.max() + 1e-3
    np.testing.assert_allclose(found, _naive_tf1(image, height, width), rtol=0, atol=1e-3)


@given(images_and_boxes())
def test_boxes_of_saved_maps_are_those_of_the_squashed_image(sample):
    image, boxes = sample
    height, width = image.shape[:2]
    expected = squash(image, boxes, 224)[1]
    np.testing.assert_array_equal(scaled_boxes(boxes, (width, height)), expected)
