"""The project's own networks, taken out of it as files and read back: the maps that Predictor makes."""

import numpy as np
import pytest
from networks import fill, options_of, values_of, write_npz
from sample_images import blob_image

from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.foreign import layers_of, load_frozen, load_saved_model, logits_of, pooled_layer
from dgl.predict.graph_predictor import GraphPredictor
from dgl.predict.postprocess import normalize
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.utils.graph_walk import without_identities

SIZE, WIDTH, CLASSES = 64, 0.125, 5
METHODS = ("dgl", "cam", "gradcam", "layercam")
CLASS_INDEX = [1, 4]

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*batch_normalization")]


def reread(mode, path):
    """(loaded graph, the names in it of the last layer, a middle one and the first)."""
    backbone = get_backbone(mode)
    with tf.Session() as session:
        image = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3], "image")
        network = build_network(backbone, image, options_of(mode, CLASSES, width=WIDTH))
        fill(session)
        logits = tf.identity(network.logits, "scores")
        if path.endswith(".pb"):
            frozen = tf.graph_util.convert_variables_to_constants(
                session, session.graph.as_graph_def(), ["scores"]
            )
            with open(path, "wb") as stream:
                stream.write(frozen.SerializeToString())
        else:
            outputs = {"scores": logits, "probability": tf.nn.softmax(logits)}
            tf.saved_model.simple_save(session, path, {"image": image}, outputs)
    layers = [backbone.layers[i] for i in (0, len(backbone.layers) // 2, -1)]
    names = {layer: without_identities(network.endpoints[layer]).name for layer in layers}
    return (load_frozen if path.endswith(".pb") else load_saved_model)(path), names


@pytest.mark.parametrize("mode, file", [("resnet50", "a.pb"), ("inceptionv3", "model")])
def test_maps_are_those_of_predictor(mode, file, tmp_path):
    """Every method at the last layer and a middle one, on the same weights.

    Predictor folds BatchNorm and adds in another order, so maps in [0, 1] agree to float32's rounding along
    the network.
    """
    loaded, names = reread(mode, str(tmp_path / file))
    logits = logits_of(loaded.output("scores"))
    assert list(loaded.inputs) == ["image"] and "scores" in loaded.outputs
    layers = [tensor.name for tensor in layers_of(logits).values()]
    assert layers[0] == list(names.values())[0] == pooled_layer(logits)[0].name
    assert set(names.values()) <= set(layers)
    images = np.stack([blob_image(seed)[: 4 * SIZE : 4, : 4 * SIZE : 4, ::-1] for seed in (1, 2)])
    layers = list(names)[:2]
    load = write_npz(tmp_path / "weights.npz", values_of(mode, SIZE, classes=CLASSES, width=WIDTH))
    with Predictor(mode, load, layers, METHODS, image_size=SIZE, gpu="-1") as predictor:
        expected = predictor(images, CLASS_INDEX)
    activations = {layer: loaded.graph.get_tensor_by_name(names[layer]) for layer in layers}
    with GraphPredictor(logits, activations, methods=METHODS) as predictor:
        found = predictor(images, CLASS_INDEX)
    scale = np.abs(expected.logits).max()
    np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=1e-5 * scale)
    assert set(found.maps) == set(expected.maps) and len(found.maps) == 7
    for entry, value in expected.maps.items():
        assert np.ptp(value) > 0 or entry[0] != "dgl"
        for one, other in zip(found.maps[entry], value):
            np.testing.assert_allclose(
                normalize(one), normalize(other), rtol=0, atol=5e-5, err_msg=str(entry)
            )
