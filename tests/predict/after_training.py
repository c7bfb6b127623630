"""Sessions of a process that has trained before; called in one of its own."""

import os

import numpy as np
from both_loops import check_changes
from networks import values_of

from dgl.backbones import get_backbone
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, options_from, save_npz

SIZE, SESSIONS = 32, 8


def check_sessions_agree(folder):
    """The same network and image give the same bits in every session."""
    check_changes(folder)
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
