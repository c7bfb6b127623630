"""The project's small classifier of birds as others would bring theirs, for the examples to read.

python examples/shipped_model.py --out models
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.backbones import get_backbone
from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.errors import run_script
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.utils.files import write_atomically
from dgl.weights import open_checkpoint, options_from

SIZE = 112  # pixels; what it was trained at


def build():
    """(placeholder of (N, SIZE, SIZE, 3) BGR images in 0..255, probabilities) in the present graph."""
    image = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3], "image")
    backbone, checkpoint = get_backbone("vgg"), open_checkpoint(SHIPPED_CHECKPOINT)
    network = build_inference(backbone, checkpoint, image, options_from(backbone, checkpoint))
    return image, tf.nn.softmax(network.logits, name="probability")


def write_frozen(path):
    """Write a frozen graph, ``tf.GraphDef`` in a file; returns its path."""
    with tf.Graph().as_default() as graph:
        build()
    write_atomically(path, graph.as_graph_def().SerializeToString())
    return path


def write_saved_model(path):
    """Write a SavedModel into a new folder; returns its path."""
    with tf.Graph().as_default(), open_session() as session:
        image, probability = build()
        tf.saved_model.simple_save(session, path, {"image": image}, {"probability": probability})
    return path


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="output", help="folder to write into")
    out = parser.parse_args(argv).out
    print(write_frozen(os.path.join(out, "birds.pb")))
    print(write_saved_model(os.path.join(out, "birds_saved_model")))


if __name__ == "__main__":
    run_script(main)
