"""What tests of training share: flags, recipes of small networks and their graphs, lists of images."""

import numpy as np
from networks import WIDTH, options_of

from dgl.cli.train import make_parser
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
