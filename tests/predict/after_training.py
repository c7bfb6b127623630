"""A training in a process of its own: its steps are those of a bare loop, and sessions after it agree."""

import os
from dataclasses import replace
from functools import partial

import numpy as np
from networks import values_of

from benchmarks.speed.decoding import write_images
from benchmarks.speed.training_step import BareSteps, Case, batch_of, train
from dgl.backbones import BACKBONES, get_backbone
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint, options_from, save_npz

from tensorpack.utils import logger  # isort: skip

SIZE, SESSIONS = 32, 8


class Compared(BareSteps):
    """Keeps the variables before an epoch of one step, after it, and after a bare step instead of it."""

    def _before_epoch(self):
        super()._before_epoch()
        self.before = self._values_now()

    def _trigger_epoch(self):
        self.trained = self._values_now()
        initializers = {v.op.name: v.initializer for v in tf.global_variables()}
        feeds = {op.inputs[1]: self.before[name] for name, op in initializers.items()}
        self.trainer.sess.run(list(initializers.values()), feeds)
        super()._trigger_epoch()
        self.bare = self._values_now()
        self.weights = {v.op.name for v in tf.trainable_variables()}

    def _values_now(self):
        variables = {v.op.name: v for v in tf.global_variables()}
        return self.trainer.sess.run(variables)


def changed(before, after):
    return {name for name in before if np.any(before[name] != after[name])}


def check_changes(folder):
    """What one step changes, by the trainer and by the bare loop."""
    logger.set_logger_dir(os.path.join(folder, "log"), action="d")
    images = write_images(folder, 1)
    # At the first step of a ResNet, blocks that begin as the identity have no gradient yet.
    backbone = get_backbone("resnet50")
    BACKBONES["resnet50"] = replace(backbone, build=partial(backbone.build, blocks=(1, 2, 1, 1)))
    case = Case("resnet50", width=0.125, batch=2, size=SIZE, steps=1, rounds=1)
    compared = Compared(*(batch_of(case) + (1,)))
    train(case, images, compared)
    before, trained, bare = compared.before, compared.trained, compared.bare
    by_trainer, by_bare = changed(before, trained), changed(before, bare)
    assert {name + "/Momentum" for name in compared.weights} <= by_bare
    for name in by_bare:
        change = np.abs(bare[name] - before[name]).max()
        # A change much smaller than the weight is itself known only to the weight's last digits.
        atol = 1e-4 * change + 2 * np.spacing(np.abs(bare[name]).max())
        np.testing.assert_allclose(trained[name], bare[name], rtol=0, atol=atol, err_msg=name)
    # What the trainer keeps beside: how far it is, the length of its queue, averages for its log.
    beside = by_trainer - by_bare
    assert "global_step" in beside
    assert all(name == "global_step" or "EMA" in name for name in beside), beside
    assert not any("/mean/EMA" in name or "/variance/EMA" in name for name in beside)
    assert any("/mean/EMA" in name for name in by_bare)


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
