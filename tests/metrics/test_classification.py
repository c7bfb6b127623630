import numpy as np
import pytest

from dgl.metrics import ClassificationEvaluator, rank_labels


def test_a_tie_at_the_top_agrees_with_argmax():
    logits = np.array([[1.0, 3.0, 3.0], [1.0, 3.0, 3.0]])
    assert rank_labels(logits, [1, 2]).tolist() == [0, 1]


def test_errors_by_hand():
    logits = np.array(
        [[9, 5, 4, 3, 2, 1], [9, 5, 4, 3, 2, 1], [9, 5, 4, 3, 2, 1], [9, 5, 4, 3, 2, 1]]
    )
    evaluator = ClassificationEvaluator(classes=6)
    evaluator.add(logits[:3], [0, 4, 5])
    evaluator.add(logits[3], 1)
    assert evaluator.result() == {"top1_error": 75.0, "top5_error": 25.0, "images": 4}


@pytest.mark.parametrize("classes, has_top5", [(2, False), (5, False), (6, True), (200, True)])
def test_top5_is_left_out_for_five_classes_or_fewer(classes, has_top5):
    evaluator = ClassificationEvaluator(classes)
    evaluator.add(np.zeros((1, classes)), [0])
    assert ("top5_error" in evaluator.result()) is has_top5


def test_a_head_may_be_wider_than_the_classes_and_competes():
    evaluator = ClassificationEvaluator(classes=2)
    evaluator.add([[1.0, 0.0, 2.0]], [0])
    assert evaluator.result()["top1_error"] == 100.0


def test_other_settings_or_broken_states_are_refused_and_change_nothing():
    evaluator = ClassificationEvaluator(10)
    evaluator.add(np.zeros((1, 10)), [0])
    before = evaluator.state_dict()
    with pytest.raises(ValueError):
        evaluator.merge(ClassificationEvaluator(11))
    broken = ClassificationEvaluator(10).state_dict()
    del broken["records"]["columns"]["rank"]
    for state in (broken, {}, None, dict(before, evaluator="max_box_acc")):
        with pytest.raises(ValueError):
            evaluator.load_state_dict(state)
    assert evaluator.state_dict() == before


@pytest.mark.parametrize(
    "logits, labels",
    [
        ([[0.0, np.nan, 1.0]], [0]),
        ([[0.0, 1.0, 2.0]], [3]),
        ([[0.0, 1.0, 2.0]], [-1]),
        ([[0.0, 1.0, 2.0]], [0, 1]),
        ([[0.0, 1.0, 2.0]], [0.5]),
        ([[0.0, 1.0]], [0]),
    ],
)
def test_malformed_input_is_refused(logits, labels):
    with pytest.raises(ValueError):
        ClassificationEvaluator(3).add(logits, labels)


def test_fewer_than_one_class_is_refused():
    with pytest.raises(ValueError):
        ClassificationEvaluator(0)
