"""A training in a process of its own, after which sessions agree."""

import os

import numpy as np
from networks import values_of

from benchmarks.speed.decoding import write_images
from benchmarks.speed.training_step import BareSteps, Case, batch_of, train
from dgl.backbones import get_backbone
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, options_from, save_npz

from tensorpack.utils import logger  # isort: skip

SIZE, SESSIONS = 32, 8


def check_sessions_agree(folder):
    """The same network and image give the same bits in every session."""
    logger.set_logger_dir(os.path.join(folder, "log"), action="d")
    case = Case("vgg", width=0.125, batch=2, size=SIZE, steps=1, rounds=1)
    train(case, write_images(folder, 1), BareSteps(*batch_of(case), 1))
    backbone, path = get_backbone("vgg"), os.path.join(folder, "vgg.npz")
    save_npz(path, values_of("vgg", SIZE, width=0.25))
    image = np.random.RandomState(0).uniform(0, 255, (1, SIZE, SIZE, 3))
    logits = []
    for _ in range(SESSIONS):
        with tf.Graph().as_default():
            tensor = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
            checkpoint = open_checkpoint(path)
            options = options_from(backbone, checkpoint)
            network = build_inference(backbone, checkpoint, tensor, options)
            with open_session() as session:
                logits.append(session.run(network.logits, {tensor: image}))
    for other in logits[1:]:
        np.testing.assert_array_equal(other, logits[0])
