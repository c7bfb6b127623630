"""Comparison of the trainer's steps with bare ones, called in separate processes."""

import os

import numpy as np

from benchmarks.speed.decoding import write_images
from benchmarks.speed.training_step import BareSteps, Case, batch_of, train
from dgl.tf_compat import tf

from tensorpack.utils import logger  # isort: skip

SIZE = 32


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


def images_in(folder):
    logger.set_logger_dir(os.path.join(folder, "log"), action="d")
    return write_images(folder, 1)


def changed(before, after):
    return {name for name in before if np.any(before[name] != after[name])}


def check_changes(folder):
    """What one step changes, by the trainer and by the bare loop."""
    images = images_in(folder)
    # At the first step of a ResNet, blocks that begin as the identity have no gradient yet.
    case = Case("resnet50", width=0.125, batch=2, size=SIZE, steps=1, rounds=1)
    compared = Compared(*(batch_of(case) + (1,)))
    train(case, images, compared)
    by_trainer = changed(compared.before, compared.trained)
    by_bare = changed(compared.before, compared.bare)
    assert {name + "/Momentum" for name in compared.weights} <= by_bare
    for name in by_bare:
        change = np.abs(compared.bare[name] - compared.before[name]).max()
        # A change much smaller than the weight is itself known only to the weight's last digits.
        digits = 2 * np.spacing(np.abs(compared.bare[name]).max())
        np.testing.assert_allclose(
            compared.trained[name],
            compared.bare[name],
            rtol=0,
            atol=1e-4 * change + digits,
            err_msg=name,
        )
    # What the trainer keeps beside: how far it is, the length of its queue, averages for its log.
    beside = by_trainer - by_bare
    assert "global_step" in beside
    assert all(name == "global_step" or "EMA" in name for name in beside), beside
    assert not any("/mean/EMA" in name or "/variance/EMA" in name for name in beside)
    assert any("/mean/EMA" in name for name in by_bare)
