"""Masks become one array: object, ignored, background."""

import cv2
import numpy as np
import pytest
from PIL import Image

from dgl.data.annotations import IGNORED, OBJECT, read_mask
from dgl.errors import UserError


def save(path, array):
    Image.fromarray(array).save(str(path))
    return str(path)


def boxed(height, width, x0, y0, x1, y1, value=255):
    mask = np.zeros((height, width), np.uint8)
    mask[y0:y1, x0:x1] = value
    return mask


@pytest.mark.parametrize("value", [1, 128, 255])
@pytest.mark.parametrize("shape", [(100, 80), (224, 224), (300, 500)])
def test_object_is_the_union_and_ignore_counts_beside_it_alone(tmp_path, shape, value):
    first = boxed(*shape + (10, 10, 40, 30, value))
    second = boxed(*shape + (30, 20, 60, 50, value))
    ignore = boxed(*shape + (20, 20, 70, 70, value))
    paths = [save(tmp_path / "a.png", first), save(tmp_path / "b.png", second)]
    found = read_mask(paths, save(tmp_path / "i.png", ignore), 224)
    near = [
        cv2.resize(array, (224, 224), interpolation=cv2.INTER_NEAREST) > 0
        for array in (first | second, ignore)
    ]
    expected = np.where(near[0], OBJECT, np.where(near[1], IGNORED, 0))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    assert set(np.unique(found)) == {0, OBJECT, IGNORED}


def test_without_ignore_mask(tmp_path):
    path = save(tmp_path / "a.png", boxed(50, 60, 0, 0, 30, 50))
    assert read_mask([path], None, 20).mean() == pytest.approx(0.5)


def test_masks_of_two_sizes_are_refused(tmp_path):
    one = save(tmp_path / "a.png", boxed(50, 60, 0, 0, 30, 50))
    two = save(tmp_path / "b.png", boxed(60, 50, 0, 0, 30, 50))
    with pytest.raises(UserError, match=r"b\.png: expected masks of one size, got 60 x 50 in .*a"):
        read_mask([one, two], None, 224)
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        read_mask([one], str(tmp_path / "none.png"), 224)
