"""PxAP against its definition, written out."""

import numpy as np
import pytest

from dgl.errors import UserError
from dgl.metrics import PixelApEvaluator


def images(count, seed=0, size=24):
    rng = np.random.RandomState(seed)
    maps, masks = [], []
    for _ in range(count):
        score_map = rng.rand(size, size).astype("float32") ** rng.uniform(0.3, 3)
        score_map[rng.randint(size), rng.randint(size)] = 1.0
        mask = (score_map + 0.5 * rng.rand(size, size) > 0.7).astype("uint8")
        mask[rng.rand(size, size) < 0.1] = 255
        maps.append(score_map)
        masks.append(mask)
    return maps, masks


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
        evaluator = PixelApEvaluator(step)
        evaluator.add(own, masks, workers=2)
        assert evaluator.result()["pxap"] == pytest.approx(straight(own, masks, edges), rel=1e-9)


def test_a_map_that_is_the_mask_is_perfect_and_its_opposite_is_not():
    mask = np.zeros((20, 20), "uint8")
    mask[3:9, 4:15] = 1
    for score_map, expected in ((mask, 100.0), (1 - mask, 100.0 * mask.mean())):
        evaluator = PixelApEvaluator(0.01)
        evaluator.add(score_map.astype("float32"), mask)
        assert evaluator.result()["pxap"] == pytest.approx(expected)


def test_ignored_pixels_play_no_part():
    maps, masks = images(3)
    changed = [np.where(mask == 255, 1 - m, m).astype("float32") for m, mask in zip(maps, masks)]
    results = []
    for batch in (maps, changed):
        evaluator = PixelApEvaluator(0.01)
        evaluator.add(batch, masks)
        results.append(evaluator.result())
    assert results[0] == results[1]


def test_shards_merge_and_images_without_a_mask_are_skipped():
    maps, masks = images(6, seed=4)
    whole, merged = PixelApEvaluator(0.01), PixelApEvaluator(0.01)
    whole.add(maps + maps[:1], masks + [None])
    for part in (slice(4, 6), slice(0, 4)):
        shard = PixelApEvaluator(0.01)
        shard.add(maps[part], masks[part])
        merged.merge(shard)
    merged.add(maps[0], None)
    assert merged.result() == whole.result()
    assert (whole.result()["images"], whole.result()["skipped"]) == (6, 1)
    curve = whole.result()
    assert len(curve["thresholds"]) == len(curve["precision"]) == len(curve["recall"])
    assert curve["recall"][0] == 1.0 and curve["recall"][-1] == 0.0
    assert (np.diff(curve["recall"]) <= 0).all()


@pytest.mark.parametrize(
    "score_map, mask",
    [
        (np.full((4, 4), 1.5), np.ones((4, 4), "uint8")),
        (np.full((4, 4), np.nan), np.ones((4, 4), "uint8")),
        (np.zeros((4, 4)), np.ones((4, 5), "uint8")),
        (np.zeros((4, 4)), np.full((4, 4), 7, "uint8")),
        (np.full((4, 4), 1.5), None),
        (np.zeros((0, 4)), None),
    ],
)
def test_malformed_input_is_refused(score_map, mask):
    evaluator = PixelApEvaluator()
    with pytest.raises(ValueError):
        evaluator.add(score_map, mask)
    assert len(evaluator.records) == 0


def test_nothing_to_measure_is_a_user_error():
    evaluator = PixelApEvaluator()
    evaluator.add(np.zeros((4, 4)), None)
    with pytest.raises(UserError, match="image with a mask"):
        evaluator.result()
    evaluator.add(np.zeros((4, 4)), np.zeros((4, 4), "uint8"))
    with pytest.raises(UserError, match="object pixel"):
        evaluator.result()
    with pytest.raises(ValueError):
        PixelApEvaluator(0)
