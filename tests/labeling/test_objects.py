"""Regions of maps as objects, and masks' outlines, on maps and masks whose answer is known."""

import numpy as np
import pytest
from PIL import Image

from dgl.labeling import masks
from dgl.labeling.labels import LabeledObject
from dgl.labeling.objects import ALL, ObjectOptions, find_regions, split_peaks
from dgl.predict.grabcut import seeds_at, small_image
from dgl.predict.postprocess import largest_box

ROWS, COLUMNS = np.mgrid[:120, :200]


def bump(row, column, sigma, height=1.0):
    found = height * np.exp(-((ROWS - row) ** 2 + (COLUMNS - column) ** 2) / (2.0 * sigma**2))
    return found.astype(np.float32)


TWO_TOUCHING = np.maximum(bump(60, 50, 20), bump(60, 110, 20, 0.8))
AND_A_SMALL_ONE = np.maximum(TWO_TOUCHING, bump(15, 185, 6, 0.6))


def test_the_largest_region_is_that_of_the_published_rule():
    (region,) = find_regions(AND_A_SMALL_ONE, ObjectOptions(0.2))
    np.testing.assert_array_equal(region.box, largest_box(AND_A_SMALL_ONE, 0.2))
    assert region.score_max == AND_A_SMALL_ONE.max()
    assert region.score_mean == pytest.approx(AND_A_SMALL_ONE[region.mask].mean())


def test_all_regions_of_a_size_and_number():
    found = find_regions(AND_A_SMALL_ONE, ObjectOptions(0.2, ALL, min_area=0.001))
    assert len(found) == 2 and found[0].mask.sum() > found[1].mask.sum()
    assert len(find_regions(AND_A_SMALL_ONE, ObjectOptions(0.2, ALL, min_area=0.02))) == 1
    assert len(find_regions(AND_A_SMALL_ONE, ObjectOptions(0.2, ALL, 0.001, max_objects=1))) == 1
    assert find_regions(np.zeros((9, 9), np.float32), ObjectOptions(0.2, ALL)) == []


def test_touching_peaks_are_divided_in_the_valley():
    found = find_regions(AND_A_SMALL_ONE, ObjectOptions(0.2, ALL, 0.001, split=True))
    assert len(found) == 3
    left, right = sorted(found[:2], key=lambda region: region.box)
    valley = int(TWO_TOUCHING[60, 50:110].argmin()) + 50
    assert abs(left.box[2] - valley) <= 2 and abs(right.box[0] - valley) <= 2
    together = find_regions(AND_A_SMALL_ONE, ObjectOptions(0.2, ALL, 0.001))[0].mask
    np.testing.assert_array_equal(left.mask | right.mask, together)
    assert not (left.mask & right.mask).any()


@pytest.mark.parametrize("depth, parts", [(0.95, 1), (0.7, 2)])
def test_shallow_valleys_do_not_divide(depth, parts):
    row = np.interp(np.arange(41), [0, 10, 20, 30, 40], [0, 1, depth, 1, 0]).astype(np.float32)
    score = np.repeat(row[np.newaxis], 9, axis=0)
    assert split_peaks(score, score > 0.2)[0] == parts


@pytest.mark.parametrize("seed", range(5))
def test_an_outline_has_the_ends_of_its_mask(seed):
    random = np.random.RandomState(seed)
    row, column = random.randint(30, 90), random.randint(40, 160)
    pixels = ((ROWS - row) / 17.0) ** 2 + ((COLUMNS - column) / 31.0) ** 2 < 1
    (polygon,) = masks.outline(pixels)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    xs, ys = polygon[::2], polygon[1::2]
    assert (min(xs), max(xs)) == (columns[0], columns[-1] + 1)
    assert (min(ys), max(ys)) == (rows[0], rows[-1] + 1)
    area = abs(np.dot(xs, np.roll(ys, 1)) - np.dot(ys, np.roll(xs, 1))) / 2
    assert area == pytest.approx(pixels.sum(), rel=0.03)
    assert masks.outline(pixels & False) == masks.outline(pixels & (row == ROWS)) == ()
    LabeledObject.from_json(LabeledObject((0, 0, 1, 1), 0, "a", polygons=(polygon,)).to_json())


def test_a_mask_follows_the_image_and_stays_with_its_region():
    image = np.random.RandomState(0).randint(200, 220, (120, 200, 3)).astype(np.uint8)
    truth, other = ((ROWS - 60) ** 2 + (COLUMNS - x) ** 2 < 18**2 for x in (50, 150))
    image[truth | other] = (40, 90, 30)
    score = np.maximum(bump(60, 50, 14), bump(60, 150, 14))
    regions = find_regions(score, ObjectOptions(0.2, ALL))
    left, right = sorted(regions, key=lambda region: region.box)
    mask = masks.refine(small_image(image), score, left, right.mask, seeds_at(0.2))
    found = masks.full_size(mask, 200, 120)
    assert (found & truth).sum() / (found | truth).sum() > 0.85
    assert mask.box == pytest.approx((32 / 200, 42 / 120, 69 / 200, 79 / 120), abs=0.02)


def test_a_png_has_the_numbers_of_the_objects(tmp_path):
    one, two = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    one[:2], two[1:3, :3] = True, True
    masks.write_png(str(tmp_path / "a" / "b.png"), [one, None, two], 6, 4)
    image = Image.open(str(tmp_path / "a" / "b.png"))
    np.testing.assert_array_equal(np.asarray(image), one + 3 * (two & ~one))
    assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]  # as PASCAL VOC's
