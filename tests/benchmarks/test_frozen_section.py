"""The two contenders of the section compute the same, and rounds pair."""

import numpy as np

from benchmarks.speed import network
from benchmarks.speed.frozen_run import MAIN_LAYER, Variables
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
