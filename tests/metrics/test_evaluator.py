"""What evaluators refuse alike: settings, other evaluators, malformed batches; classification errors."""

import numpy as np
import pytest
from refusals import check_refusal

from dgl.metrics import (
    ClassificationEvaluator,
    FixedThresholdEvaluator,
    MaxBoxAccEvaluator,
    PixelApEvaluator,
    PointingGameEvaluator,
    intervals,
    rank_labels,
)

BOX, TURNED = [[0, 0, 9, 9]], [[9, 9, 0, 0]]
MAP = np.zeros((40, 40), np.float32)
MAP[:9, :9] = 1
HOLED = MAP.copy()
HOLED[3, 3] = np.nan
MASK = np.uint8(MAP)
TWO = dict(score_maps=[MAP] * 2, true_boxes=[BOX] * 2)
NEEDED = {ClassificationEvaluator: {"classes": 3}, FixedThresholdEvaluator: {"classes": 3}}
GOOD = {
    ClassificationEvaluator: dict(logits=[[0.0, 1.0, 2.0]], labels=[0]),
    FixedThresholdEvaluator: dict(score_maps=MAP, true_boxes=BOX, ranks=0),
    MaxBoxAccEvaluator: dict(score_maps=MAP, true_boxes=BOX),
    PixelApEvaluator: dict(score_maps=MAP, masks=MASK),
}


def make(kind, **settings):
    return kind(**dict(NEEDED.get(kind, {}), **settings))


@pytest.mark.parametrize(
    "kind, settings",
    [
        (ClassificationEvaluator, {"classes": 0}),
        (FixedThresholdEvaluator, {"threshold": 1.5}),
        (FixedThresholdEvaluator, {"iou": 0.0}),
        (MaxBoxAccEvaluator, {"step": 0}),
        (MaxBoxAccEvaluator, {"iou_thresholds": ()}),
        (MaxBoxAccEvaluator, {"iou_thresholds": (30,)}),
        (PixelApEvaluator, {"step": 0}),
        (PointingGameEvaluator, {"grid": (1, 1)}),
    ],
)
def test_settings_outside_their_range(kind, settings):
    with pytest.raises(ValueError):
        make(kind, **settings)


@pytest.mark.parametrize(
    "kind, other",
    [
        (ClassificationEvaluator, {"classes": 11}),
        (FixedThresholdEvaluator, {"threshold": 0.3}),
        (MaxBoxAccEvaluator, {"step": 0.02}),
    ],
)
def test_other_settings_are_not_merged(kind, other):
    with pytest.raises(ValueError):
        make(kind).merge(make(kind, **other))


@pytest.mark.parametrize(
    "kind, batch",
    [
        (ClassificationEvaluator, dict(logits=[[0.0, np.nan, 1.0]])),
        (ClassificationEvaluator, dict(labels=[3])),
        (ClassificationEvaluator, dict(labels=[0, 1])),
        (ClassificationEvaluator, dict(labels=[0.5])),
        (ClassificationEvaluator, dict(logits=[[0.0, 1.0]])),
        (FixedThresholdEvaluator, dict(TWO, score_maps=[MAP, HOLED], ranks=[0, 0])),
        (FixedThresholdEvaluator, dict(TWO, true_boxes=[BOX, TURNED], ranks=[0, 0])),
        (FixedThresholdEvaluator, dict(TWO, true_boxes=[BOX], ranks=[0, 0])),
        (FixedThresholdEvaluator, dict(ranks=[-1])),
        (FixedThresholdEvaluator, dict(ranks=None, logits=[[2.0, 1.0, 0.0]])),
        (FixedThresholdEvaluator, dict(logits=[[2.0, 1.0, 0.0]], labels=[0])),
        (MaxBoxAccEvaluator, dict(TWO, score_maps=[MAP, HOLED])),
        (MaxBoxAccEvaluator, dict(score_maps=[MAP, HOLED], true_boxes=[BOX, []])),
        (MaxBoxAccEvaluator, dict(true_boxes=TURNED)),
        (MaxBoxAccEvaluator, dict(TWO, true_boxes=[BOX])),
        (PixelApEvaluator, dict(score_maps=1.5 * MAP, masks=None)),
        (PixelApEvaluator, dict(score_maps=MAP[:0], masks=None)),
        (PixelApEvaluator, dict(masks=MASK[1:])),
        (PixelApEvaluator, dict(masks=7 * MASK)),
    ],
)
def test_a_malformed_batch_leaves_the_evaluator_as_it_was(kind, batch):
    evaluator = make(kind)
    evaluator.add(**GOOD[kind])
    before = evaluator.state_dict()
    with pytest.raises(ValueError):
        evaluator.add(**dict(GOOD[kind], **batch))
    assert evaluator.state_dict() == before


def test_a_broken_state_changes_nothing():
    evaluator = make(ClassificationEvaluator)
    evaluator.add(**GOOD[ClassificationEvaluator])
    before = evaluator.state_dict()
    broken = make(ClassificationEvaluator).state_dict()
    del broken["records"]["columns"]["rank"]
    for state in (broken, {}, None, dict(before, evaluator="max_box_acc")):
        with pytest.raises(ValueError):
            evaluator.load_state_dict(state)
    assert evaluator.state_dict() == before


@pytest.mark.parametrize(
    "kind, batch, message",
    [
        (FixedThresholdEvaluator, dict(true_boxes=[]), "image with a true box"),
        (MaxBoxAccEvaluator, dict(true_boxes=[]), "image with a true box"),
        (PixelApEvaluator, dict(masks=None), "image with a mask"),
        (PixelApEvaluator, dict(masks=0 * MASK), "object pixel"),
        (PointingGameEvaluator, None, "at least one mosaic"),
    ],
)
def test_nothing_to_measure_is_a_user_error(kind, batch, message):
    evaluator = kind((2, 2)) if kind is PointingGameEvaluator else make(kind)
    if batch is not None:
        evaluator.add(**dict(GOOD[kind], **batch))
    check_refusal(message, evaluator.result)
    if message != "object pixel":
        check_refusal(message, intervals, evaluator)


def test_a_tie_at_the_top_agrees_with_argmax():
    assert rank_labels(np.array([[1.0, 3.0, 3.0]] * 2), [1, 2]).tolist() == [0, 1]


def test_errors_by_hand():
    evaluator = ClassificationEvaluator(classes=6)
    evaluator.add([[9, 5, 4, 3, 2, 1]] * 3, [0, 4, 5])
    evaluator.add(np.array([9, 5, 4, 3, 2, 1]), 1)
    assert evaluator.result() == {"top1_error": 75.0, "top5_error": 25.0, "images": 4}


@pytest.mark.parametrize("classes, has_top5", [(2, False), (5, False), (6, True), (200, True)])
def test_top5_is_left_out_for_five_classes_or_fewer(classes, has_top5):
    errors, boxes = ClassificationEvaluator(classes), FixedThresholdEvaluator(classes)
    errors.add(np.zeros((1, classes)), [0])
    boxes.add(MAP, BOX, ranks=0)
    result = boxes.result()
    for found, name in ((errors.result(), "error"), (result, "loc"), (result["rows"][0], "loc")):
        assert (f"top5_{name}" in found) is has_top5
