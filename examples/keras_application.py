"""Localize with an application of Keras, built in graph mode.

    python examples/keras_application.py --application ResNet50 --weights weights.h5 --picture a.jpg

Without --weights they are random: the image shows that it works, not where anything is.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.data.image_io import read_image
from dgl.datasets import sample_images
from dgl.errors import run_script
from dgl.foreign import layers_of, logits_of
from dgl.foreign.preprocessing import PREPROCESSINGS
from dgl.localizer import Localizer
from dgl.predict.overlay import draw_boxes, overlay, write_image
from dgl.predict.session import open_session
from dgl.tf_compat import tf


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--application", default="MobileNetV2", help="of tf.keras.applications")
    parser.add_argument("--weights", help="file of weights for it; default: random ones")
    parser.add_argument("--preprocess", choices=list(PREPROCESSINGS), default="tf")
    parser.add_argument("--layer", type=int, default=0, help="0 is the last layer")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--picture", default=sample_images()[0])
    parser.add_argument("--out", default="output", help="folder to write into")
    args = parser.parse_args(argv)

    # One graph and one session, which Keras is told to use; 0 is the phase of inference.
    with tf.Graph().as_default(), open_session() as session:
        tf.keras.backend.set_session(session)
        tf.keras.backend.set_learning_phase(0)
        application = getattr(tf.keras.applications, args.application)
        model = application(input_shape=(args.image_size, args.image_size, 3), weights=None)
        session.run(tf.global_variables_initializer())
        if args.weights:
            model.load_weights(args.weights)
        else:
            print("random weights: what follows shows that it works, not where anything is")

        logits = logits_of(model.output)
        layers = list(layers_of(logits).values())
        with Localizer.from_graph(
            logits,
            layers[args.layer],
            preprocess=PREPROCESSINGS[args.preprocess],
            session=session,  # it has the weights
        ) as localizer:
            (found,) = localizer([args.picture])
    print(f"layer {layers[args.layer].op.name}, one of {len(layers)}")
    print(f"class {found.class_index} with probability {found.probability:.4f}")
    print(f"box {found.box}")

    drawn = draw_boxes(overlay(read_image(args.picture), found.map), found.box)
    write_image(os.path.join(args.out, "keras_application.png"), drawn)


if __name__ == "__main__":
    run_script(main)
