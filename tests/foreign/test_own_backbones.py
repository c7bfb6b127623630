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


def write(mode, folder, kind):
    """(path, the names in the graph of the last layer, a middle one and the first)."""
    backbone = get_backbone(mode)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        image = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3], "image")
        network = build_network(backbone, image, options_of(mode, CLASSES, width=WIDTH))
        fill(session)
        logits = tf.identity(network.logits, "scores")
        path = str(folder / (mode + kind))
        if kind == ".pb":
            frozen = tf.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), ["scores"]
            )
            with open(path, "wb") as stream:
                stream.write(frozen.SerializeToString())
        else:
            outputs = {"scores": logits, "probability": tf.nn.softmax(logits)}
            tf.saved_model.simple_save(session, path, {"image": image}, outputs)
        endpoints = network.endpoints
    layers = [backbone.layers[i] for i in (0, len(backbone.layers) // 2, -1)]
    return path, {layer: without_identities(endpoints[layer]).name for layer in layers}


def images():
    return np.stack([blob_image(seed)[: 4 * SIZE : 4, : 4 * SIZE : 4, ::-1] for seed in (1, 2)])


def check(mode, folder, loaded, names):
    """Every method at the last layer and a middle one, against Predictor on the same weights.

    Predictor folds BatchNorm and adds in another order, so maps in [0, 1] agree to float32's rounding along
    the network.
    """
    names = dict(list(names.items())[:2])
    load = write_npz(folder / "weights.npz", values_of(mode, SIZE, classes=CLASSES, width=WIDTH))
    with Predictor(mode, load, list(names), METHODS, image_size=SIZE, gpu="-1") as predictor:
        expected = predictor(images(), CLASS_INDEX)
    activations = {layer: loaded.graph.get_tensor_by_name(name) for layer, name in names.items()}
    logits = logits_of(loaded.output("scores"))
    with GraphPredictor(logits, activations, methods=METHODS) as predictor:
        found = predictor(images(), CLASS_INDEX)
    scale = np.abs(expected.logits).max()
    np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=1e-5 * scale)
    assert set(found.maps) == set(expected.maps) and len(found.maps) == 7
    assert all(np.ptp(value) > 0 for (method, _), value in expected.maps.items() if method == "dgl")
    for entry, value in expected.maps.items():
        for one, other in zip(found.maps[entry], value):
            np.testing.assert_allclose(
                normalize(one), normalize(other), rtol=0, atol=5e-5, err_msg=str(entry)
            )


def test_a_frozen_graph(tmp_path):
    path, names = write("resnet50", tmp_path, ".pb")
    loaded = load_frozen(path)
    assert list(loaded.inputs) == ["image"] and list(loaded.outputs) == ["scores"]
    layers = layers_of(loaded.output())
    assert list(names.values())[0] == next(iter(layers.values())).name
    assert set(names.values()) <= {tensor.name for tensor in layers.values()}
    assert pooled_layer(loaded.output())[0] is next(iter(layers.values()))
    check("resnet50", tmp_path, loaded, names)


def test_a_saved_model(tmp_path):
    path, names = write("inceptionv3", tmp_path, "")
    check("inceptionv3", tmp_path, load_saved_model(path), names)
