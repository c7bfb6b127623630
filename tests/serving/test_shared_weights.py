"""A predictor with one copy of its weights: the same maps, no large constant left."""

import numpy as np
import pytest
from small_network import values_of, write_npz

from dgl.predict.predictor import Predictor
from dgl.serving import shared_weights
from dgl.serving.shared_weights import SharedPredictor

SETTINGS = {"layers": ["0", "2"], "methods": ["dgl", "cam", "eigencam"], "gpu": "-1"}


def constants(predictor):
    """Bytes of every constant of a predictor's graph."""
    return [
        int(np.prod(op.outputs[0].shape.as_list())) * op.outputs[0].dtype.size
        for op in predictor._session.graph.get_operations()
        if op.type == "Const"
    ]


@pytest.mark.parametrize("mode", ["vgg", "resnet50se"])
def test_the_same_maps_without_large_constants(tmp_path, mode):
    path = write_npz(tmp_path / "a.npz", values_of(mode, 64, width=0.125))
    images = np.random.RandomState(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    with Predictor(mode, path, image_size=64, adjustable_alpha=True, **SETTINGS) as plain:
        assert max(constants(plain)) >= 1 << 15
        expected = plain(images, [1, 2], alpha=0.5)
    with SharedPredictor(mode, path, image_size=64, **SETTINGS) as shared:
        assert max(constants(shared)) < 1 << 15
        found = shared(images, [1, 2], alpha=0.5)
        assert shared.entries == plain.entries and list(found.maps) == list(expected.maps)
        one = shared(images, [1, 2], [plain.entries[0]], alpha=0.5)
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)
    assert found.class_index.tolist() == expected.class_index.tolist()
    for entry, raw in expected.maps.items():
        np.testing.assert_allclose(found.maps[entry], raw, rtol=0, atol=1e-3 * np.abs(raw).max())
    raw = found.maps[plain.entries[0]]
    np.testing.assert_allclose(one.maps[plain.entries[0]], raw, atol=1e-3 * np.abs(raw).max())


def test_a_graph_too_large_for_a_message_stays_as_it_is(small_vgg, monkeypatch):
    monkeypatch.setattr(shared_weights, "_MOST_BYTES", 1)
    with SharedPredictor("vgg", small_vgg, **SETTINGS) as predictor:
        assert max(constants(predictor)) >= 1 << 15
        assert len(predictor(np.zeros((1, 64, 64, 3)), alpha=1.0).maps) == 5
