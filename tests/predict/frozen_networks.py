"""Frozen classifiers of every backbone, and what they compute, for the tests of this folder."""

import functools

import numpy as np
from networks import fill, options_of

from dgl.attribution.gradients import class_gradients, loss_gradients
from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.predict.frozen import build_inference
from dgl.tf_compat import tf
from dgl.utils.devices import FLOAT32

SIZE, CLASSES = 32, 5
# A ResNet with squeeze-excite has all that one without has.
NETWORKS = [("vgg", "none"), ("resnet50se", "none"), ("inceptionv3", "none"), ("vgg", "bn")]
NETWORKS.append(("efficientnet_lite0", "none"))
WIDTH = 0.0625


def options(mode, norm):
    return options_of(mode, classes=CLASSES, width=get_backbone(mode).round_width(WIDTH), norm=norm)


def results(build, session_of, with_gradients=True):
    """Logits, head weights, activations and both gradients of every layer, and the operations."""
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
        built, backbone = build(image)
        layers = [built.endpoints[name] for name in backbone.layers]
        target = tf.constant([1, 3])
        fetches = [built.logits, built.head_weights, layers]
        if with_gradients:
            fetches += [class_gradients(built.logits, layers, target)]
            fetches += [loss_gradients(built.logits, layers, target)]
        with tf.Session() as session:
            session_of(session)
            images = np.random.RandomState(0).uniform(0, 255, (2, SIZE, SIZE, 3))
            found = session.run(fetches, {image: images})
        return found, graph.get_operations()


def frozen(mode, norm, checkpoint, gpus=0, precision=FLOAT32, with_gradients=True):
    backbone = get_backbone(mode)

    def build(image):
        own = options(mode, norm)
        return build_inference(backbone, checkpoint, image, own, gpus, precision), backbone

    return results(build, lambda session: None, with_gradients)


@functools.lru_cache(maxsize=None)
def variables(mode, norm):
    """The same of the network as it is trained, its weights in variables."""
    backbone = get_backbone(mode)
    return results(
        lambda image: (build_network(backbone, image, options(mode, norm)), backbone), fill
    )


def flat(nested):
    for part in nested:
        if isinstance(part, list):
            yield from flat(part)
        else:
            yield part
