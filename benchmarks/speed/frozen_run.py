"""One process of the section `frozen`: frozen classifier and variables, with one kind of kernels.

python -m benchmarks.speed.frozen_run ROUNDS prints the rows as one line of JSON. Which kernels is the
environment's to say, before TensorFlow loads.
"""

import json
import os
import sys
import tempfile
import time

import numpy as np

from benchmarks.speed import network, photos
from benchmarks.speed.spread import ratio, spread
from dgl.attribution import build_maps
from dgl.backbones import BuildOptions, get_backbone
from dgl.backbones.network import build_network
from dgl.predict.predictor import Predictor
from dgl.predict.session import inference_config
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, read_all

SIZE = 224
MAIN_LAYER = "conv5_2"
BATCHES = (8, 1)
CASES = (("forward pass", ()), ("DGL, " + MAIN_LAYER, ("dgl",)))


class Variables:
    """The network as training builds it, filled from a file; called as a predictor is."""

    def __init__(self, path, methods, layer=MAIN_LAYER, size=SIZE):
        backbone, checkpoint = get_backbone("vgg"), open_checkpoint(path)
        classes = checkpoint.shapes["linear/b"][0]
        width = backbone.find_width(checkpoint.shapes)
        with tf.Graph().as_default():
            self._image = tf.placeholder(tf.float32, [None, size, size, 3])
            built = build_network(
                backbone, self._image, BuildOptions(classes, "linear", width=width)
            )
            best = tf.argmax(built.logits, axis=1, output_type=tf.int32)
            maps = build_maps(built, methods, [layer], backbone.layers[0], best)
            self._fetches = [built.logits, maps]
            variables = tf.global_variables()
            values = read_all(variables, checkpoint)
            self._session = tf.Session(config=inference_config())
            feeds = {v.initializer.inputs[1]: values[v.op.name] for v in variables}
            self._session.run([v.initializer for v in variables], feeds)

    def __call__(self, images):
        """(logits, maps) of a batch."""
        return self._session.run(self._fetches, {self._image: images})


def seconds_of(contenders, images, rounds):
    """Seconds of each contender's call, one after the other in every round; the first round is dropped.

    Returns:
        array (contenders, rounds).
    """
    found = np.zeros((len(contenders), rounds + 1))
    for number in range(rounds + 1):
        for index, call in enumerate(contenders):
            start = time.perf_counter()
            call(images)
            found[index, number] = time.perf_counter() - start
    return found[:, 1:]


def rows(rounds):
    """Ordered dicts, one a case and batch."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weights.npz")
        network.write(path)
        batch = photos.batch(max(BATCHES))
        for name, methods in CASES:
            contenders = Variables(path, methods), Predictor("vgg", path, [MAIN_LAYER], methods)
            for size in BATCHES:
                plain, ours = seconds_of(contenders, batch[:size], rounds)
                row = {"case": name, "batch": size}
                row["variables_ms"] = spread(1000 * plain / size, 0)
                row["frozen_ms"] = spread(1000 * ours / size, 0)
                row["times"] = ratio(plain, ours, 2)
                found.append(row)
    return found


if __name__ == "__main__":
    print(json.dumps(rows(int(sys.argv[1]))))
