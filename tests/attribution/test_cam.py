"""CAM against its formula, and as the share of every place in the logit."""

import numpy as np
import pytest
from networks import fill, options_of
from sample_images import blob_image

from dgl.attribution import cam_map
from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.tf_compat import tf


def test_formula():
    rng = np.random.RandomState(0)
    activation = rng.standard_normal((3, 4, 5, 6))
    weights = rng.standard_normal((6, 7))
    class_index = [6, 0, 3]
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(
            cam_map(None, tf.constant(activation), class_index, tf.constant(weights))
        )
    expected = np.zeros((3, 4, 5))
    for image, target in enumerate(class_index):
        for channel in range(6):
            expected[image] += weights[channel, target] * activation[image, :, :, channel]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*batch_normalization")
@pytest.mark.parametrize("mode", ["vgg", "inceptionv3"])  # both kinds of head
def test_mean_of_the_map_plus_the_bias_is_the_logit(mode):
    backbone = get_backbone(mode)
    images = np.stack([blob_image(seed)[:256:4, :256:4] for seed in (1, 2)]).astype("float32")
    class_index = np.array([3, 0], "int32")
    with tf.Graph().as_default(), tf.Session() as session:
        network = build_network(backbone, tf.constant(images), options_of(mode, width=0.125))
        cam = cam_map(
            network.logits,
            network.endpoints[backbone.layers[0]],
            tf.constant(class_index),
            network.head_weights,
        )
        fill(session)
        bias = tf.global_variables()[-1]
        assert bias.op.name.endswith(("linear/b", "biases"))
        cam, logits, bias = session.run([cam, network.logits, bias])
    found = cam.mean((1, 2)) + bias[class_index]
    # Float32 sums in another order.
    np.testing.assert_allclose(
        found, logits[[0, 1], class_index], rtol=0, atol=1e-5 * np.abs(cam).max()
    )
