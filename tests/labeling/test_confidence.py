"""Calibration: learned from features, stable as a file, refused when it cannot be learned."""

import json

import numpy as np
import pytest
from refusals import refusal

from dgl.labeling.confidence import (
    FEATURES,
    MASK_FEATURES,
    Calibration,
    describe,
    fit,
    read_calibration,
)
from dgl.labeling.masks import Mask
from dgl.labeling.objects import ObjectOptions, find_regions


def samples(count, seed=0):
    """Features of which the first decides, with noise; and whether objects are right."""
    random = np.random.RandomState(seed)
    table = random.normal(0, 1, (count, len(FEATURES)))
    right = random.rand(count) < 1 / (1 + np.exp(-2 * table[:, 0]))
    return [dict(zip(FEATURES, row)) for row in table.tolist()], right


def test_confidences_are_as_often_right_as_they_say():
    assert "20 objects" in refusal(fit, *samples(20))
    assert "0 of them right" in refusal(fit, samples(50)[0], [False] * 50)
    model = fit(*samples(1000))
    features, right = samples(2000, 1)
    found = np.array([model.confidence(own) for own in features])
    for low in np.arange(0, 1, 0.2):
        chosen = (found >= low) & (found < low + 0.2)
        assert abs(found[chosen].mean() - right[chosen].mean()) < 0.08
    half = found > np.median(found)
    assert right[half].mean() - right[~half].mean() > 0.3


def test_a_calibration_survives_its_file(tmp_path):
    calibration = Calibration("toys", {"weights": "x"}, {"known_box": fit(*samples(200))})
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration.to_json()))
    stored = read_calibration(str(path))
    assert stored.to_json() == calibration.to_json() and stored.summary() == calibration.summary()
    (features,), _ = samples(1)
    before, after = (one.models["known_box"].confidence(features) for one in (calibration, stored))
    assert before == after
    for text in ("", "[]", "{}", '{"dgl_calibration": 9}', "[" * 99999):
        path.write_text(text)
        assert "calibration.json" in refusal(read_calibration, str(path))


def test_features_of_a_centered_square():
    score = np.zeros((40, 60), np.float32)
    score[10:30, 15:45] = 1
    options = ObjectOptions(0.2)
    (region,) = find_regions(score, options)
    found = describe(score, region, [region], options, 0.5, 1.0)
    assert set(found) == set(FEATURES)
    wanted = {
        "log_probability": np.log(0.5), "log_ratio": np.log(0.5), "log_area": np.log(0.25),
        "extent": 1, "border": 0, "score_mean": 1, "inside": 1, "tighter": 1, "wider": 1,
        "off_center": 0, "second": 0,
    }  # fmt: skip
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-4), name
    pixels = np.zeros((8, 8), bool)
    pixels[2:6, 2:4] = True
    mask = Mask(pixels, (0.25, 0.25, 0.5, 0.75))
    refined = describe(score, region, [region], options, 0.5, 1.0, mask)
    assert set(refined) == set(FEATURES + MASK_FEATURES)
    assert (refined["refined_iou"], refined["refined_extent"]) == (0.5, 1)


def test_the_shipped_calibration_is_sound():
    shipped = read_calibration()
    assert set(shipped.network) == {"weights", "method", "layer", "flip"}
    assert {"known_box", "predicted_box"} <= set(shipped.models)
    sure = dict.fromkeys(FEATURES + MASK_FEATURES, 1.0)
    for model in shipped.models.values():
        assert 0 < model.confidence(sure) < 1
