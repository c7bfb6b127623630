"""A linear probe: a frozen backbone, its pooled features computed once, and a last layer fitted to them.

The checkpoint that it leaves in ``train_log/<name>/`` is an ordinary one: the backbone's own weights and
the fitted last layer, with a model card.
"""

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional, Tuple

import numpy as np
from tqdm import tqdm

from dgl.backbones import BuildOptions
from dgl.backbones.registry import Backbone
from dgl.data.image_io import read_reduced
from dgl.data.sample import DataSet, Sample
from dgl.data.views import random_training_view, rgb_to_bgr, squash
from dgl.errors import UserError, printable
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.training.classes import check_classes
from dgl.training.linear_head import (
    MOST_FOLDS,
    STRENGTHS,
    LinearHead,
    fit_head,
    most_frequent_confusions,
)
from dgl.training.log_folder import CHECKPOINT, open_log_folder
from dgl.utils.parallel import ordered_map
from dgl.utils.table import format_table
from dgl.weights import CARD_FILE, Checkpoint, read_weights, write_card
from dgl.weights.formats.tensorflow import save_tensorflow
from dgl.weights.model_card import card_of
from dgl.weights.restore import first_of, network_variables

from tensorpack.utils import logger  # isort: skip

RANDOM_VIEWS = 2  # of a training image, beside the whole image and its mirror image
FEW_IMAGES = 5
_VIEWS_PER_BATCH = 32
_FULL_TABLE = 10  # classes; with more, the most frequent confusions are shown instead
_SHOWN_CONFUSIONS = 15

View = Callable[[int, np.ndarray], np.ndarray]


@dataclass
class Probe:
    """What a probe is made of.

    Attributes:
        backbone, image_size: registry entry, and side S of the input in pixels.
        checkpoint: weights of all layers below the last one.
        options: of the network, with the new last layer's scope and number of classes.
        seed: of the random views of training images, and of the folds of the cross-validation.
        workers: threads that decode images.
        gpus: number of GPUs, from :func:`~dgl.utils.devices.select_gpus`.
        head, below: variable name -> shape, of the last layer and of all below it.
    """

    backbone: Backbone
    checkpoint: Checkpoint
    options: BuildOptions
    image_size: int
    seed: int
    workers: int
    gpus: int = 0

    def __post_init__(self) -> None:
        shapes = network_variables(self.backbone, self.options, self.image_size)
        self.head = {name: shape for name, shape in shapes.items() if self.options.head in name}
        self.below = {name: shape for name, shape in shapes.items() if name not in self.head}


def run_probe(
    probe: Probe, training: DataSet, validation: Optional[DataSet], log_name: str
) -> LinearHead:
    """Fit a last layer and leave it in ``train_log/<log_name>/`` with the weights below it.

    Without a validation set, held-out predictions stand for it.

    Raises:
        UserError: fewer than two classes, a class without images, weights that are not all there, an
            unreadable image of the validation list, or a log folder that cannot be used. Nothing is written
            before the fit is complete.
    """
    check_classes(training)
    lacking = [name for name in probe.below if name not in probe.checkpoint.shapes]
    if lacking:
        raise UserError(
            f"{probe.checkpoint.path}: has no weights of {first_of(lacking)}; --probe fits the last layer "
            f"alone and expects a checkpoint of {probe.backbone.mode} with all layers below it"
        )
    with FeatureExtractor(probe) as extract:
        features, labels = extract(training, training_view(probe), f"{training.split} features")
        check_classes(training, labels)
        measured = None
        if validation is not None:
            measured = extract(validation, whole_view(probe), f"{validation.split} features")
    with tqdm(total=len(STRENGTHS) * MOST_FOLDS + 1, desc="fit", unit=" fits", leave=False) as bar:
        head = fit_head(features, labels, probe.seed, bar.update)
    with open_log_folder(log_name, resume=False) as folder:
        logger.info("Probe of %s, seed %d.", probe.checkpoint.path, probe.seed)
        for line in _report(training, head, features[:, 0], labels, measured):
            logger.info(line)
        _write(probe, head, training, folder)
    return head


def whole_view(probe: Probe) -> View:
    """View of an image as `dgl localize` takes it: function of (index, RGB image) -> (1, S, S, 3) BGR."""
    return lambda _, image: rgb_to_bgr(squash(image, (), probe.image_size)[0][np.newaxis])


def training_view(probe: Probe) -> View:
    """Views of a training image: function of (index, RGB image) -> (V, S, S, 3) uint8 BGR.

    The whole image, its mirror image, and :data:`RANDOM_VIEWS` crops as in training, drawn from the seed
    and the image's place in the list.
    """

    def views(index: int, image: np.ndarray) -> np.ndarray:
        whole = squash(image, (), probe.image_size)[0]
        rng = np.random.RandomState([probe.seed, index])
        crops = [random_training_view(image, probe.image_size, rng) for _ in range(RANDOM_VIEWS)]
        return rgb_to_bgr(np.stack([whole, whole[:, ::-1], *crops]))

    return views


class FeatureExtractor:
    """The frozen backbone: views -> features, the mean of layer 0 over its positions."""

    def __init__(self, probe: Probe) -> None:
        """Build the graph, with BatchNorm folded on a CPU."""
        self._workers = probe.workers
        size = probe.image_size

        def read(name: str) -> np.ndarray:
            # The last layer plays no part here, and a checkpoint need not have one.
            is_head = name in probe.head
            return np.zeros(probe.head[name], "f4") if is_head else probe.checkpoint.read(name)

        shapes = {**probe.checkpoint.shapes, **probe.head}
        checkpoint = Checkpoint(probe.checkpoint.path, shapes, read)
        with tf.Graph().as_default():
            self._image = tf.placeholder(tf.uint8, [None, size, size, 3], "image")
            network = build_inference(
                probe.backbone, checkpoint, self._image, probe.options, probe.gpus
            )
            last = network.endpoints[probe.backbone.layers[0]]
            self._features = tf.reduce_mean(last, axis=[1, 2])
            self._session = open_session(probe.gpus)

    def features(self, views: np.ndarray) -> np.ndarray:
        """(N, C) float32 features of (N, S, S, 3) BGR views in 0..255."""
        result: np.ndarray = self._session.run(self._features, {self._image: views})
        return result

    def __call__(self, data: DataSet, view: View, what: str) -> Tuple[np.ndarray, np.ndarray]:
        """Features (N, V, C) float32 and class indices (N,) of a data set.

        Unreadable training images are left out with a warning, as in training. ``view`` is a function of
        (index in the list, RGB image) -> (V, S, S, 3) uint8 BGR, ``what`` the progress bar's name.

        Raises:
            UserError: an unreadable image of another split than ``train``, or no readable image at all.
        """
        chunks, labels = [], []

        def prepare(item: Tuple[int, Sample]) -> Any:
            index, sample = item
            try:
                return view(index, read_reduced(sample.path).image), sample.class_index
            except UserError as error:
                if data.split != "train":
                    raise
                return error

        with tqdm(total=len(data), desc=what, unit=" images") as bar:
            prepared = ordered_map(prepare, enumerate(data.samples), self._workers)
            for chunk in _chunks(_readable(prepared, bar)):
                views = np.stack([views for views, _ in chunk])
                flat = self.features(views.reshape((-1,) + views.shape[2:]))
                chunks.append(flat.reshape(views.shape[:2] + (-1,)))
                labels += [label for _, label in chunk]
                bar.update(len(chunk))
        return np.concatenate(chunks), np.asarray(labels)

    def __enter__(self) -> "FeatureExtractor":
        return self

    def __exit__(self, *_: Any) -> None:
        self._session.close()


def _readable(prepared: Iterator[Any], bar: Any) -> Iterator[Tuple[np.ndarray, int]]:
    error: Optional[UserError] = None
    is_any = False
    for point in prepared:
        if isinstance(point, UserError):
            error = point
            logger.warning("left out of training: %s", error)
            bar.update()
        else:
            is_any = True
            yield point
    if error is not None and not is_any:
        raise error


def _chunks(points: Iterator[Tuple[np.ndarray, int]]) -> Iterator[List[Tuple[np.ndarray, int]]]:
    """Points in lists that hold about as many views as a batch."""
    chunk: List[Tuple[np.ndarray, int]] = []
    for point in points:
        chunk.append(point)
        if len(chunk) * len(point[0]) >= _VIEWS_PER_BATCH:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _write(probe: Probe, head: LinearHead, training: DataSet, folder: str) -> None:
    values = {name: read_weights(probe.checkpoint, name) for name in probe.below}
    for name, shape in probe.head.items():  # the weights may be a 1 x 1 filter
        values[name] = (head.biases if len(shape) == 1 else head.weights).reshape(shape)
    card = card_of(probe.backbone.mode, probe.options, probe.image_size, training)
    write_card(os.path.join(folder, CARD_FILE), card)
    prefix = os.path.join(folder, CHECKPOINT + "-0")
    save_tensorflow(prefix, values)
    logger.info("Model saved to %s. Next: dgl localize IMAGE --load %s", prefix, folder)


def _report(
    training: DataSet,
    head: LinearHead,
    features: np.ndarray,
    labels: np.ndarray,
    measured: Optional[Tuple[np.ndarray, np.ndarray]],
) -> Iterator[str]:
    """Lines for people: small classes, the strength, accuracies, and confusions."""
    counts = Counter(labels)
    for index in sorted(counts):
        if counts[index] < FEW_IMAGES:
            yield (
                f"{printable(training.class_name(index))}: {counts[index]} training "
                f"image{'s' if counts[index] > 1 else ''}; five or more give a steadier classifier"
            )
    tested = head.held_out >= 0
    if head.folds:
        accuracy = _accuracy(labels[tested], head.held_out[tested])
        yield (
            f"Regularization C {head.strength:g} an image, by {head.folds}-fold cross-validation: accuracy "
            f"{accuracy}"
        )
    else:
        yield f"Regularization C {head.strength:g} an image; no class has two images to compare others"
    yield "Training accuracy " + _accuracy(labels, head.logits(features).argmax(axis=1))
    if measured is not None:
        found, labels = measured
        predicted, what = head.logits(found[:, 0]).argmax(axis=1), "validation images"
        yield "Validation accuracy " + _accuracy(labels, predicted)
    elif head.folds:
        labels, predicted, what = labels[tested], head.held_out[tested], "held-out training images"
        yield "No validation images: the accuracy of the cross-validation stands for them"
    else:
        return
    yield _confusion_table(training, labels, predicted, what)


def _accuracy(labels: np.ndarray, predicted: np.ndarray) -> str:
    right = int((labels == predicted).sum())
    return f"{100.0 * right / len(labels):.1f} % ({right} of {len(labels)} images)"


def _confusion_table(
    training: DataSet, labels: np.ndarray, predicted: np.ndarray, what: str
) -> str:
    """The confusion matrix, or for many classes the most frequent confusions."""
    counts = Counter(labels)
    names = [printable(training.class_name(index)) for index in range(training.classes)]
    if training.classes <= _FULL_TABLE:
        matrix = np.zeros((training.classes, training.classes), int)
        np.add.at(matrix, (labels, predicted), 1)
        rows = [
            {"class": name, **{f"-> {other}": int(n) for other, n in zip(names, row)}}
            for name, row in zip(names, matrix)
        ]
        return f"Predictions (columns) of {what} of each class (rows):\n" + format_table(rows)
    found = most_frequent_confusions(labels, predicted, _SHOWN_CONFUSIONS)
    if not found:
        return f"No confusions of {what}"
    rows = [
        {"class": names[true], "taken for": names[other], "images": n, "of": counts[true]}
        for true, other, n in found
    ]
    return f"Most frequent confusions of {what}:\n" + format_table(rows)
