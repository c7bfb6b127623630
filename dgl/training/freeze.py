"""`--freeze LAYER`: train the layers above LAYER on its activations, computed once and cached.

The network is built whole, so that validation of images, maps and checkpoints are as ever. A training step
feeds the layer's tensor itself; TensorFlow then runs nothing below it, forward or backward.
"""

import functools
import itertools
from dataclasses import replace
from typing import Any, Callable, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.data.flows import (
    FailureKeeper,
    ShuffledDraws,
    ValidationFlow,
    check_readable,
    training_point,
)
from dgl.data.sample import Sample
from dgl.errors import UserError
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.training.recipe import Recipe
from dgl.utils.graph_walk import upstream
from dgl.utils.parallel import ordered_map
from dgl.utils.types import Tensor

from tensorpack.callbacks import Callback, CallbackFactory  # isort: skip
from tensorpack.dataflow import BatchData, DataFlow, DataFromList, MapData  # isort: skip
from tensorpack.input_source import FeedInput  # isort: skip
from tensorpack.utils import logger  # isort: skip

MOST_GIB = 8  # of cached activations, which are held in memory
_BATCH = 16  # images at a time while they are computed


class Cut(NamedTuple):
    """Where a network is divided into a frozen and a trained part."""

    layer: str  # name of the last frozen layer
    # Names of the variables that stay as they are, moving averages among them
    frozen: Tuple[str, ...]
    shape: Tuple[int, ...]  # of the layer's activation for one image

    def gib(self, views: int) -> float:
        """Memory that the activations of this many images take, in GiB."""
        return views * int(np.prod(self.shape)) * 4 / 2.0**30


def find_cut(recipe: Recipe) -> Cut:
    """Divide a recipe's network at its frozen layer, in a graph that is thrown away.

    Raises:
        UserError: the network has a path around the layer, such as the sum of a residual block.
    """
    backbone, size, name = get_backbone(recipe.mode), recipe.image_size, recipe.freeze
    assert name is not None
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, size, size, 3])
        network = build_network(backbone, image, recipe.options)
        above = {n: set(upstream(network.logits, stop=t)) for n, t in network.endpoints.items()}
        if image.op in above[name]:
            cuts = [n for n in backbone.layers if image.op not in above[n]]
            raise UserError(
                f"--freeze {name}: {recipe.mode} has a path around it; choose one of: "
                + ", ".join(cuts)
            )
        frozen = tuple(v.op.name for v in tf.global_variables() if v.op not in above[name])
        return Cut(name, frozen, tuple(network.endpoints[name].shape.as_list()[1:]))


def freeze_below(layer: Tensor, image: Tensor, logits: Tensor) -> None:
    """Take what ``layer`` is computed from out of the graph's trained variables and updates.

    Called in the training tower, before the cost is: weight decay is of trained variables only.
    """
    above = set(upstream(logits, stop=layer))
    trained = tf.get_collection_ref(tf.GraphKeys.TRAINABLE_VARIABLES)
    trained[:] = [variable for variable in trained if variable.op in above]
    # BatchNorm's moving averages: those below the layer could only be updated from images.
    updates = tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)
    updates[:] = [update for update in updates if image.op not in upstream(update, stop=layer)]


class Activations(NamedTuple):
    """A layer's activations (N, h, w, C) float32 for a list of views, and their (N,) int32 classes.

    They are (N, C, h, w) where the network is channels-first.
    """

    values: np.ndarray
    labels: np.ndarray

    def training_flow(self, batch: int, seed: int, start: int) -> FailureKeeper:
        """Endless batches [activations, labels] in an order fixed by ``seed``, from draw ``start`` on."""
        draws = ShuffledDraws(range(len(self.labels)), seed, start=start)
        return FailureKeeper(BatchData(MapData(draws, lambda draw: self._point(draw[0])), batch))

    def validation_flow(self, batch: int) -> DataFlow:
        """Batches in the order of the list; the last may be short."""
        points = [self._point(index) for index in range(len(self.labels))]
        return BatchData(DataFromList(points, shuffle=False), batch, remainder=True)

    def _point(self, index: int) -> List[Any]:
        return [self.values[index], self.labels[index]]


def compute_activations(
    recipe: Recipe,
    weights: Mapping[str, np.ndarray],
    training: Sequence[Sample],
    validation: Sequence[Sample],
    seed: int,
    gpus: int = 0,
) -> Tuple[Activations, Activations]:
    """The frozen layer's activations of random training views and of the validation views.

    ``weights`` (variable name -> array) holds all that is frozen, ``seed`` is that of the random views.

    Raises:
        UserError: no training image, or any validation image, can be read.
    """
    backbone, size, views = get_backbone(recipe.mode), recipe.image_size, recipe.freeze_views
    cut = find_cut(recipe)
    check_readable(training)
    logger.info(
        "Frozen: %s and below, %d variables. Its activations for %d random views of each of %d training "
        "images and for %d validation images are computed now and take %.2f GiB of memory.",
        cut.layer, len(cut.frozen), views, len(training), len(validation),
        cut.gib(views * len(training) + len(validation)),
    )  # fmt: skip
    count = views * len(training)
    draws = itertools.islice(ShuffledDraws(training, seed), count)
    point = functools.partial(training_point, size)
    points = filter(None, ordered_map(point, draws, max(1, recipe.workers)))
    batches = iter(lambda: list(zip(*itertools.islice(points, _BATCH))), [])
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, size, size, 3])
        network = build_network(backbone, image, replace(recipe.options, training=False))
        layer = network.endpoints[cut.layer]
        with open_session(gpus) as session:
            for variable in tf.global_variables():
                if variable.op.name in cut.frozen:
                    variable.load(weights[variable.op.name], session)

            def run(batches: Iterable[Any], count: int, what: str) -> Activations:
                values, labels = np.empty((count,) + cut.shape, "float32"), np.empty(count, "int32")
                with tqdm(total=count, unit=" images", desc=f"{what} at {cut.layer}") as bar:
                    for images, own_labels in batches:
                        part = slice(bar.n, bar.n + len(images))
                        values[part] = session.run(layer, {image: np.stack(images)})
                        labels[part] = own_labels
                        bar.update(len(images))
                return Activations(values[: bar.n], labels[: bar.n])

            of_training = run(batches, count, "training images")
            flow = ValidationFlow(validation, size, _BATCH, recipe.workers)
            return of_training, run(flow, len(validation), "validation images")


class LayerInput(FeedInput):
    """Tensorpack input that gives a tower activations of a layer in place of images."""

    def __init__(self, flow: DataFlow, layer: Callable[[], Tensor]) -> None:
        """Prepare; ``layer()`` is the tensor to feed, asked for when both towers are built."""
        super().__init__(flow, infinite=False)
        self._layer = layer

    def _get_callbacks(self) -> List[Callback]:
        def feed_layer(_: Callback) -> None:
            self._cb._placeholders = [self._layer(), self._all_placehdrs[1]]

        return [CallbackFactory(setup_graph=feed_layer), *super()._get_callbacks()]
