"""PxAP against its definition, written out."""

import numpy as np
import pytest
from generators import labeled_images, mask_of
from hypothesis import given
from hypothesis import strategies as st

from dgl.metrics import PixelApEvaluator


def images(count, seed=0, size=24):
    """Random maps that reach 1, and masks like them, a tenth of whose pixels is ignored."""
    rng = np.random.RandomState(seed)
    maps, masks = [], []
    for _ in range(count):
        maps.append(rng.rand(size, size).astype("float32") ** rng.uniform(0.3, 3))
        maps[-1][rng.randint(size), rng.randint(size)] = 1.0
        masks.append((maps[-1] + 0.5 * rng.rand(size, size) > 0.7).astype("uint8"))
        masks[-1][rng.rand(size, size) < 0.1] = 255
    return maps, masks


def filled(maps, masks, step=0.01, **settings):
    evaluator = PixelApEvaluator(step)
    evaluator.add(maps, masks, **settings)
    return evaluator


def straight(maps, masks, edges):
    """The area under precision over recall by comparing every pixel with every edge."""
    scores = np.concatenate([m[mask != 255] for m, mask in zip(maps, masks)]).astype("float64")
    truth = np.concatenate([mask[mask != 255] for mask in masks]) == 1
    area, last = 0.0, 0.0
    for threshold in edges[::-1]:
        found = scores >= threshold
        recall = (found & truth).sum() / float(truth.sum())
        area += (recall - last) * (found & truth).sum() / float(max(1, found.sum()))
        last = recall
    return 100.0 * area


@pytest.mark.parametrize("step", [0.1, 0.01, 0.001])
def test_equals_the_straight_computation(step):
    """Scores of exactly 1 have a bin of their own there, a step of the curve that is no threshold."""
    maps, masks = images(5)
    thresholds = np.arange(0, 1, step)
    capped = [np.minimum(m, np.float32(1 - step / 2)) for m in maps]
    for own, edges in ((maps, np.append(thresholds, 1.0)), (capped, thresholds)):
        found = filled(own, masks, step, workers=2).result()["pxap"]
        assert found == pytest.approx(straight(own, masks, edges), rel=1e-9)


@given(st.lists(labeled_images(), min_size=1, max_size=6))
def test_equals_the_straight_computation_on_random_small_maps(images):
    maps, masks = [image[0] for image in images], [mask_of(image) for image in images]
    found = filled(maps, masks, 0.1).result()["pxap"]
    edges = np.append(np.arange(0, 1, 0.1), 1.0)
    assert found == pytest.approx(straight(maps, masks, edges), abs=1e-9)
    assert 0 <= found <= 100 + 1e-9


def test_a_map_that_is_the_mask_is_perfect_and_its_opposite_is_not():
    mask = np.zeros((20, 20), "uint8")
    mask[3:9, 4:15] = 1
    for score_map, expected in ((mask, 100.0), (1 - mask, 100.0 * mask.mean())):
        found = filled(score_map.astype("float32"), mask).result()["pxap"]
        assert found == pytest.approx(expected)


def test_images_without_a_mask_are_skipped():
    maps, masks = images(6, seed=4)
    found = filled(maps + maps[:1], masks + [None]).result()
    assert found == dict(filled(maps, masks).result(), skipped=1) and found["images"] == 6
