"""The two contenders of the section compute the same, and rounds pair."""

import numpy as np
import pytest

from benchmarks.speed import network
from benchmarks.speed.frozen_run import MAIN_LAYER, Variables, seconds_of
from benchmarks.speed.sections.frozen import table
from dgl.predict.predictor import Predictor

SIZE = 48


def test_both_compute_the_same(tmp_path):
    path = str(tmp_path / "weights.npz")
    network.write(path, width=0.125, classes=7)
    images = np.random.RandomState(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    logits, maps = Variables(path, ("dgl",), size=SIZE)(images)
    with Predictor("vgg", path, [MAIN_LAYER], ("dgl",), image_size=SIZE, gpu="-1") as predictor:
        found = predictor(images)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max())
    expected = maps["dgl", MAIN_LAYER]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.maps["dgl", MAIN_LAYER], expected, atol=1e-4 * scale)


def test_contenders_take_turns_and_the_first_round_is_dropped():
    calls = []
    contenders = [lambda images, name=name: calls.append(name) for name in "ab"]
    assert seconds_of(contenders, None, 3).shape == (2, 3)
    assert calls == list("abababab")


def test_table():
    spread = {"median": 2.0, "least": 1.5, "most": 2.5}
    row = {"kernels": "k", "case": "x", "batch": 1, "variables_ms": spread, "frozen_ms": spread}
    row["times"] = spread
    assert "2.00 (1.50 to 2.50)" in table({"rows": [row]})


def test_a_layer_s_name_is_one(tmp_path):
    path = str(tmp_path / "weights.npz")
    network.write(path, width=0.125, classes=7)
    with pytest.raises(KeyError):
        Variables(path, ("dgl",), layer="nowhere", size=SIZE)
