"""Real trainings by the scripts in `train_code/`, in this process."""

import contextlib
import io
import logging
import os
import runpy
from unittest import mock

import numpy as np
from sample_images import TESTS

from dgl.data import flows
from dgl.tf_compat import tf


@contextlib.contextmanager
def _inside(folder):
    before = os.getcwd()
    os.chdir(str(folder))
    try:
        yield
    finally:
        os.chdir(before)


def train(folder, *trainings, script="dgl_vgg.py", still=False):
    """Train one after another, each in a new graph, in ``folder``; returns what each of them printed.

    With ``still``, training takes the validation view, so that it does not depend on the order of the
    images.
    """
    main = runpy.run_path(os.path.join(os.path.dirname(TESTS), "train_code", script))["main"]
    logger, texts = logging.getLogger("tensorpack"), []
    for flags in trainings:
        printed = io.StringIO()
        handler = logging.StreamHandler(printed)
        handler.setFormatter(logging.Formatter("[log] %(message)s"))
        with contextlib.ExitStack() as stack:
            if still:
                stack.enter_context(mock.patch.object(flows, "random_training_view", _still_view))
            for context in (_inside(folder), contextlib.redirect_stdout(printed)):
                stack.enter_context(context)
            stack.enter_context(tf.Graph().as_default())
            logger.addHandler(handler)
            stack.callback(logger.removeHandler, handler)
            main(flags.split())
        texts.append(printed.getvalue())
    return texts


def _still_view(image, size, _):
    return flows.validation_view(image, size)


def load_last(folder):
    """Variable name -> value of a log folder's last checkpoint."""
    reader = tf.train.load_checkpoint(str(folder))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def distance(one, other, names):
    """The largest difference of a variable, relative to that variable's largest value."""
    return max(np.abs(one[n] - other[n]).max() / np.abs(one[n]).max() for n in names)
