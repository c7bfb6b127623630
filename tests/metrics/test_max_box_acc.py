import cv2
import numpy as np
import pytest

from dgl.errors import UserError
from dgl.metrics import MaxBoxAccEvaluator

SIZE = 48
IOUS = (0.3, 0.5, 0.7)


def random_images(count, seed=0):
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    maps, boxes = [], []
    for index in range(count):
        total = np.zeros((SIZE, SIZE))
        for _ in range(4):
            center, width = rng.uniform(4, 44, size=2), rng.uniform(2, 8)
            bump = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * width**2))
            total += rng.uniform(0.2, 1) * bump
        total /= total.max()
        # Every third map has plateaus, so that most levels share their mask with others.
        maps.append((np.floor(total * 5) / 5 if index % 3 == 0 else total).astype(np.float32))
        # One to three boxes around the peak, so that some thresholds hit and others miss.
        peak = np.array(np.unravel_index(total.argmax(), total.shape))[::-1]
        reach = rng.randint(3, 12, size=(rng.randint(1, 4), 4))
        corners = np.concatenate([peak - reach[:, :2], peak + reach[:, 2:]], axis=1)
        boxes.append(np.clip(corners, 0, SIZE - 1))
    return maps, boxes


def pixel_iou(a, b):
    grids = np.zeros((2, SIZE, SIZE), bool)
    for grid, (x0, y0, x1, y1) in zip(grids, (a, b)):
        grid[y0 : y1 + 1, x0 : x1 + 1] = True
    return (grids[0] & grids[1]).sum() / float((grids[0] | grids[1]).sum())


def straight_counts(maps, boxes, thresholds):
    """Images right at each threshold: (T,) for the largest contour, (IoUs, T) for all of them."""
    largest = np.zeros(len(thresholds), int)
    every = np.zeros((len(IOUS), len(thresholds)), int)
    for score_map, true_boxes in zip(maps, boxes):
        image = (score_map * 255).astype(np.uint8)
        for index, threshold in enumerate(thresholds):
            mask = np.uint8(image > int(threshold * int(image.max())))
            contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
            best = []
            for contour in sorted(contours, key=cv2.contourArea, reverse=True):
                x, y, w, h = cv2.boundingRect(contour)
                box = (x, y, min(x + w, SIZE - 1), min(y + h, SIZE - 1))
                best.append(max(pixel_iou(box, true) for true in true_boxes))
            best = best or [max(pixel_iou((0, 0, 0, 0), true) for true in true_boxes)]
            largest[index] += best[0] >= 0.5
            every[:, index] += [max(best) >= value for value in IOUS]
    return largest, every


@pytest.mark.parametrize("workers", [1, 3])
def test_every_figure_equals_the_straight_one(workers):
    maps, boxes = random_images(24)
    thresholds = np.arange(0, 1, 0.05)
    largest, every = straight_counts(maps, boxes, thresholds)
    evaluator = MaxBoxAccEvaluator(step=0.05)
    evaluator.add(maps, boxes, workers=workers)
    result = evaluator.result()
    assert 0 < largest.max() < 24 and (largest != every[1]).any()
    assert result["thresholds"] == thresholds.tolist()
    assert result["curve"] == pytest.approx(100 * largest / 24.0)
    assert result["max_box_acc"] == pytest.approx(100 * largest.max() / 24.0)
    assert result["best_threshold"] == thresholds[list(largest).index(largest.max())]
    per_iou = {"30": every[0].max(), "50": every[1].max(), "70": every[2].max()}
    assert result["max_box_acc_v2_per_iou"] == pytest.approx(
        {key: 100 * value / 24.0 for key, value in per_iou.items()}
    )
    assert result["max_box_acc_v2"] == pytest.approx(100 * sum(per_iou.values()) / 72.0)


def two_blobs():
    """A large faint block and a small bright one: predicted 2, 2, 22, 22 and 30, 30, 36, 36."""
    score_map = np.zeros((SIZE, SIZE), np.float32)
    score_map[2:22, 2:22] = 0.5
    score_map[30:36, 30:36] = 1.0
    return score_map


def test_two_blobs_by_hand():
    evaluator = MaxBoxAccEvaluator(step=0.1)
    # The largest contour is the faint block until the threshold passes it: int(0.5 * 255) is 127.
    evaluator.add(two_blobs(), [[30, 30, 36, 36]])
    result = evaluator.result()
    assert result["protocol"] == "wsolevaluation"
    assert result["curve"] == [0.0] * 5 + [100.0] * 5
    assert result["best_threshold"] == np.arange(0, 1, 0.1)[5]
    assert result["max_box_acc"] == 100.0
    faint = MaxBoxAccEvaluator(step=0.1)
    faint.add(two_blobs(), [[2, 2, 22, 22]])
    assert faint.result()["curve"] == [100.0] * 5 + [0.0] * 5
    assert faint.result()["best_threshold"] == 0.0


def test_v2_counts_every_contour_and_takes_each_overlap_at_its_own_best():
    evaluator = MaxBoxAccEvaluator(step=0.25)
    # Predicted 30, 30, 36, 36 has 49 pixels; the true box 77 of which it covers all: IoU 0.636.
    evaluator.add(two_blobs(), [[30, 30, 36, 40]])
    result = evaluator.result()
    assert result["max_box_acc_v2_per_iou"] == {"30": 100.0, "50": 100.0, "70": 0.0}
    assert result["max_box_acc_v2"] == pytest.approx(200 / 3.0)
    # At threshold 0 only the smaller contour is right.
    assert result["curve"][0] == 0.0


def test_an_overlap_of_exactly_the_threshold_is_right():
    # Predicted 30, 30, 36, 36 has 49 pixels, the true box 98 and covers it.
    evaluator = MaxBoxAccEvaluator(step=0.5)
    evaluator.add(two_blobs(), [[30, 30, 36, 43]])
    result = evaluator.result()
    assert result["max_box_acc_v2_per_iou"] == {"30": 100.0, "50": 100.0, "70": 0.0}
    assert result["max_box_acc"] == 100.0


def test_any_true_box_will_do_and_images_without_one_are_skipped():
    evaluator = MaxBoxAccEvaluator(step=0.5)
    evaluator.add([two_blobs()] * 2, [[[40, 40, 44, 44], [2, 2, 22, 22]], []])
    result = evaluator.result()
    assert (result["max_box_acc"], result["images"], result["skipped"]) == (100.0, 1, 1)


def test_an_empty_map_predicts_the_corner_pixel():
    evaluator = MaxBoxAccEvaluator(step=0.5)
    evaluator.add(np.zeros((SIZE, SIZE), np.float32), [[0, 0, 1, 0]])
    result = evaluator.result()
    assert result["curve"] == [100.0, 100.0]
    assert result["max_box_acc_v2_per_iou"]["70"] == 0.0


@pytest.mark.parametrize("other", [{"step": 0.02}, {"iou_thresholds": (0.3, 0.5)}])
def test_other_settings_are_refused_on_merge(other):
    with pytest.raises(ValueError):
        MaxBoxAccEvaluator(step=0.01).merge(MaxBoxAccEvaluator(**dict({"step": 0.01}, **other)))


def test_a_bad_batch_leaves_the_evaluator_as_it_was():
    evaluator = MaxBoxAccEvaluator(step=0.1)
    evaluator.add(two_blobs(), [[2, 2, 22, 22]])
    before = evaluator.state_dict()
    bad = two_blobs()
    bad[0, 0] = np.nan
    for maps, boxes in (
        ([two_blobs(), bad], [[[2, 2, 22, 22]]] * 2),
        ([two_blobs(), bad], [[[2, 2, 22, 22]], []]),
        ([two_blobs()], [[[22, 22, 2, 2]]]),
        ([two_blobs()] * 2, [[[2, 2, 22, 22]]]),
    ):
        with pytest.raises(ValueError):
            evaluator.add(maps, boxes)
    assert evaluator.state_dict() == before


def test_the_default_thresholds_are_those_of_the_protocol():
    evaluator = MaxBoxAccEvaluator()
    evaluator.add(two_blobs(), [[2, 2, 22, 22]])
    assert evaluator.result()["thresholds"] == np.arange(0, 1, 0.001).tolist()


def test_no_image_with_a_box_is_a_user_error():
    evaluator = MaxBoxAccEvaluator()
    evaluator.add(two_blobs(), [])
    with pytest.raises(UserError):
        evaluator.result()


@pytest.mark.parametrize(
    "settings", [{"step": 0}, {"step": 2}, {"iou_thresholds": ()}, {"iou_thresholds": (30,)}]
)
def test_settings_outside_their_range_are_refused(settings):
    with pytest.raises(ValueError):
        MaxBoxAccEvaluator(**settings)
