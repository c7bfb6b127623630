"""What tests of training share: flags, recipes, graphs, lists of images, and real runs of the scripts."""

import contextlib
import io
import logging
import os
import runpy

import numpy as np
import pytest
from networks import WIDTH, options_of
from sample_images import TESTS

from dgl.cli.train import make_parser
from dgl.data import flows
from dgl.tf_compat import tf
from dgl.training.model import ClassifierModel
from dgl.training.recipe import Recipe

from tensorpack.tfutils.tower import TowerContext  # isort: skip

CLASSES = 4
# On images of 50 x 60; the maps of a network that has learned little mark most of an image.
BOXES = (((2, 2, 57, 47),), ((20, 20, 26, 26),), ((30, 1, 55, 45), (4, 4, 50, 44)))


def parse(*flags, data="DATA", **parser):
    """Parse flags of a training script."""
    parser = make_parser("Train.", **(parser or {"modes": ("vgg",)}))
    return parser.parse_args(["--data", str(data)] + [str(flag) for flag in flags])


def make_recipe(mode="vgg", options=None, **changes):
    """A recipe of a narrow network on small images, for one step unless ``changes`` say more."""
    given = {"mode": mode, "options": options or options_of(mode, CLASSES, width=WIDTH)}
    few = {"image_size": 32, "batch": 2, "towers": 1, "steps": 1, "epochs": 1, "base_lr": 0.01}
    return Recipe(**{**given, **few, **changes})


def build_tower(recipe):
    """Build a training tower in the current graph; returns (model, image, label, cost)."""
    model = ClassifierModel(recipe)
    image, label = (tf.placeholder(s.dtype, s.shape, s.name) for s in model.inputs())
    with TowerContext("", is_training=True):
        return model, image, label, model.build_graph(image, label)


def tiles(seed):
    """uint8 RGB (50, 60, 3) of tiles in random colors, so that every crop differs."""
    colors = np.random.RandomState(seed).randint(0, 256, (5, 6, 3), dtype="uint8")
    return colors.repeat(10, axis=0).repeat(10, axis=1)


def rows_of(count, classes=CLASSES, boxes=((),), ending=".jpg"):
    """Rows for :func:`sample_images.write_list`: images of tiles, the classes and boxes in turn."""
    return [(f"{n}{ending}", tiles(n), n % classes, boxes[n % len(boxes)]) for n in range(count)]


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
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.chdir(str(folder))
            patch.setattr(logger, "handlers", [*logger.handlers, handler])
            if still:
                patch.setattr(
                    flows, "random_training_view", lambda i, s, _: flows.validation_view(i, s)
                )
            with tf.Graph().as_default():
                main(flags.split())
        texts.append(printed.getvalue())
    return texts


def load_last(folder):
    """Variable name -> value of a log folder's last checkpoint."""
    reader = tf.train.load_checkpoint(str(folder))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def distance(one, other, names):
    """The largest difference of a variable, relative to that variable's largest value."""
    return max(np.abs(one[n] - other[n]).max() / np.abs(one[n]).max() for n in names)
