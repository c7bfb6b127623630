"""Logits and DGL maps of every backbone at every layer, against autograd in float64."""

import numpy as np
import pytest
from networks import fill, options_of, values_of

from dgl.attribution import build_maps
from dgl.backbones import PAPER_MODES, get_backbone
from dgl.backbones.network import build_network
from dgl.predict.postprocess import normalize
from dgl.tf_compat import tf

torch = pytest.importorskip("torch")
from torch_networks import Network, dgl_map, prepare

pytestmark = pytest.mark.peer

SIZE = 64
WIDTH = 0.25
CLASSES = 7
# Single precision against double; a ReLU that flips at zero moves a whole gradient.
LOGITS, MAPS = 1e-4, 1e-3


@pytest.mark.parametrize("alpha", [0.5, 10.0, 100.0])
@pytest.mark.parametrize("mode", PAPER_MODES)
def test_maps_of_all_layers(mode, alpha):
    backbone = get_backbone(mode)
    values = values_of(mode, SIZE, width=WIDTH, classes=CLASSES)
    images = np.random.RandomState(3).uniform(0, 255, (1, SIZE, SIZE, 3)).astype("float32")
    with tf.Graph().as_default(), tf.Session() as session:
        tensor = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
        network = build_network(backbone, tensor, options_of(mode, CLASSES, width=WIDTH))
        fill(session)
        target = tf.argmax(network.logits, axis=1, output_type=tf.int32)
        maps = build_maps(
            network, ("dgl",), backbone.layers, backbone.layers[0], target, alpha, "kernel"
        )
        logits, found = session.run([network.logits, dict(maps)], {tensor: images})

    peer = Network(mode, values)
    expected = peer(prepare(images))
    scale = expected.abs().max().item()
    np.testing.assert_allclose(logits, expected.detach().numpy(), atol=LOGITS * scale)
    class_index = int(expected[0].argmax())
    for layer in backbone.layers:
        wanted = dgl_map(expected, peer.endpoints[layer], class_index, alpha)
        got = found["dgl", layer][0]
        assert np.abs(normalize(got) - normalize(wanted)).max() < MAPS, layer
        assert np.abs(got - wanted).max() < MAPS * np.abs(wanted).max(), layer
