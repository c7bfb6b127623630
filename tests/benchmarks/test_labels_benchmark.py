"""The benchmark of `dgl label` on made labels: overlaps, calibration error, and a regressor that learns."""

import numpy as np
import pytest
from made_labels import make_store

from benchmarks.label_detector import TRIED, Regressor, choose, mirrored
from benchmarks.labels import expected_calibration_error, overlaps_of


def test_calibration_error_of_known_confidences():
    assert expected_calibration_error([0.25] * 4, [1, 0, 0, 0]) == pytest.approx(0)
    assert expected_calibration_error([0.95, 0.05], [0, 1]) == pytest.approx(0.95)
    # Two steps of confidence, each a tenth off.
    assert expected_calibration_error([0.6] * 2 + [0.4] * 2, [1, 0, 1, 0]) == pytest.approx(0.1)


def test_overlaps_are_those_of_the_best_true_box(tmp_path):
    out, images = make_store(tmp_path)
    boxes = {
        str(tmp_path / "data" / labels.image): [(0, 0, 1, 1), *(o.box for o in labels.objects)]
        for labels in images
    }
    found = [(one is not None, overlap) for _, one, overlap in overlaps_of(out, boxes)]
    assert sorted(found) == [(False, 0.0)] + [(True, 1.0)] * 4  # one image is without an object


def test_a_regressor_finds_a_bright_square():
    random = np.random.RandomState(0)

    def samples(count):
        maps, boxes = np.zeros((count, 7, 7, 3), np.float32), []
        for one in maps:
            x, y = random.randint(0, 4, 2)
            one[y : y + 3, x : x + 3] = 1
            boxes.append((x / 7, y / 7, (x + 3) / 7, (y + 3) / 7))
        return maps + random.normal(0, 0.01, maps.shape).astype(np.float32), np.array(boxes)

    maps, boxes = samples(200)
    settings = choose([maps, maps[:, :, ::-1]], boxes)
    assert settings in TRIED
    regress = Regressor([maps, maps[:, :, ::-1]], boxes, settings)
    maps, boxes = samples(20)
    np.testing.assert_allclose(regress([maps, maps[:, :, ::-1]]), boxes, atol=0.15)
    np.testing.assert_allclose(mirrored(mirrored(boxes)), boxes)
