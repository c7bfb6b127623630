"""A linear probe: a frozen backbone, its pooled features computed once, and a last layer fitted to them.

The logits of every backbone are ``GAP(features) @ W + b``, so that with a frozen backbone the last layer
is a multinomial logistic regression (Alain and Bengio, "Understanding intermediate layers using linear
classifier probes", 2016); cross-validation chooses its strength. The checkpoint that is left in
``train_log/<name>/`` is an ordinary one: the backbone's own weights and the fitted last layer.
"""

import itertools
import os
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from tqdm import tqdm

from dgl.backbones import BuildOptions
from dgl.backbones.registry import Backbone
from dgl.data.flows import check_readable
from dgl.data.image_io import read_reduced
from dgl.data.sample import DataSet, Sample
from dgl.data.views import random_training_view, rgb_to_bgr, squash
from dgl.errors import UserError, printable
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.training.classes import check_classes
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

# Inverse strengths of the regularization per image, for features scaled to a mean variance of 1.
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
UNTESTED = 0.3  # where no class has two images, so that nothing can be held out
MOST_FOLDS = 5
_WORSE = 2  # strengths in a row that are worse than the best one end the search
_MOST_STEPS = 1000
_OUT = -1  # fold of an image that is never held out


@dataclass
class Probe:
    """What a probe is made of."""

    backbone: Backbone
    checkpoint: Checkpoint  # weights of all layers below the last one
    options: BuildOptions  # of the network, with the new last layer's scope and number of classes
    image_size: int  # side S of the input in pixels
    seed: int  # of the random views of training images, and of the folds of the cross-validation
    workers: int  # threads that decode images
    gpus: int = 0  # their number, from `dgl.utils.devices.select_gpus`

    def __post_init__(self) -> None:
        # Variable name -> shape, of the last layer and of all below it.
        shapes = network_variables(self.backbone, self.options)
        self.head = {name: shape for name, shape in shapes.items() if self.options.head in name}
        self.below = {name: shape for name, shape in shapes.items() if name not in self.head}

    def without_head(self) -> Checkpoint:
        """The checkpoint with zeros for the last layer, which plays no part and need not be there."""

        def read(name: str) -> np.ndarray:
            is_head = name in self.head
            return np.zeros(self.head[name], "f4") if is_head else self.checkpoint.read(name)

        return Checkpoint(self.checkpoint.path, {**self.checkpoint.shapes, **self.head}, read)

    def views(self, index: int, image: np.ndarray, is_training: bool) -> np.ndarray:
        """Views (V, S, S, 3) uint8 BGR of the RGB image at this place of its list.

        The whole image, as `dgl localize` takes it. For training its mirror image too, and
        :data:`RANDOM_VIEWS` crops as in training, drawn from the seed and the place.
        """
        whole = squash(image, (), self.image_size)[0]
        if not is_training:
            return rgb_to_bgr(whole[np.newaxis])
        rng = np.random.RandomState([self.seed, index])
        crops = [random_training_view(image, self.image_size, rng) for _ in range(RANDOM_VIEWS)]
        return rgb_to_bgr(np.stack([whole, whole[:, ::-1], *crops]))


class LinearHead(NamedTuple):
    """A fitted last layer."""

    weights: np.ndarray  # (C, classes) float32
    biases: np.ndarray  # (classes,) float32
    strength: float  # the chosen inverse strength of the regularization, one of STRENGTHS
    folds: int  # number of folds of the cross-validation, 0 where there was none
    # (N,) int, the class predicted for each image by a fit without it; -1 for an image that is the
    # only one of its class
    held_out: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, classes) float32 logits of pooled features (N, C)."""
        result: np.ndarray = features @ self.weights + self.biases
        return result


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
    size, measured = probe.image_size, None
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, size, size, 3], "image")
        checkpoint = probe.without_head()
        network = build_inference(probe.backbone, checkpoint, image, probe.options, probe.gpus)
        pooled = tf.reduce_mean(network.endpoints[probe.backbone.layers[0]], axis=[1, 2])
        with open_session(probe.gpus) as session:

            def compute(views: np.ndarray) -> Any:
                return session.run(pooled, {image: views})

            features, labels = _extract(probe, training, compute)
            check_classes(training, labels)
            if validation is not None:
                measured = _extract(probe, validation, compute)
    with tqdm(total=len(STRENGTHS) * MOST_FOLDS + 1, desc="fit", unit=" fits", leave=False) as bar:
        head = fit_head(features, labels, probe.seed, bar.update)
    with open_log_folder(log_name, resume=False) as folder:
        logger.info("Probe of %s, seed %d.", probe.checkpoint.path, probe.seed)
        for line in _report(training, head, features[:, 0], labels, measured):
            logger.info(line)
        values = {name: read_weights(probe.checkpoint, name) for name in probe.below}
        for name, shape in probe.head.items():  # the weights may be a 1 x 1 filter
            values[name] = (head.biases if len(shape) == 1 else head.weights).reshape(shape)
        card = card_of(probe.backbone.mode, probe.options, size, training)
        write_card(os.path.join(folder, CARD_FILE), card)
        prefix = os.path.join(folder, CHECKPOINT + "-0")
        save_tensorflow(prefix, values)
        logger.info("Model saved to %s. Next: dgl localize IMAGE --load %s", prefix, folder)
    return head


def _extract(
    probe: Probe, data: DataSet, compute: Callable[[np.ndarray], Any]
) -> Tuple[np.ndarray, np.ndarray]:
    """Features (N, V, C) float32 of a data set's views, and its class indices (N,)."""
    is_training = data.split == "train"
    if is_training:
        check_readable(data.samples)

    def prepare(item: Tuple[int, Sample]) -> Any:
        index, sample = item
        try:
            image = read_reduced(sample.path).image
        except UserError as error:
            if not is_training:
                raise
            logger.warning("left out of training: %s", error)
            return None
        return probe.views(index, image, is_training), sample.class_index

    features: List[np.ndarray] = []
    labels: List[int] = []
    prepared = ordered_map(prepare, enumerate(data.samples), probe.workers)
    what = f"{data.split} features"
    points = filter(None, tqdm(prepared, desc=what, total=len(data), unit=" images"))
    at_once = _VIEWS_PER_BATCH // (2 + RANDOM_VIEWS if is_training else 1)
    for chunk in iter(lambda: list(itertools.islice(points, at_once)), []):
        views = np.stack([views for views, _ in chunk])
        flat = compute(views.reshape((-1,) + views.shape[2:]))
        features.append(flat.reshape(views.shape[:2] + (-1,)))
        labels += [label for _, label in chunk]
    return np.concatenate(features), np.asarray(labels)


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    progress: Callable[[], Any] = lambda: None,
) -> LinearHead:
    """Fit a last layer, choosing the strength of its regularization by cross-validation.

    Features are centered and divided by one number, the root of their mean variance, before the fit. Both
    are folded into weights and biases in float64; what is left is the rounding to float32 (logits agree
    with the fit's to about 1e-5). The strength with the lowest cross-entropy of held-out images (their
    first view) is chosen. The views of an image are in one fold, and every class is in every fit.

    Args:
        features: (N, V, C) float, V views of each image, of which the first is the one that is classified
            later.
        labels: (N,) int; every class from 0 to the largest has an image, and there are at least two.
        seed: which images share a fold.
        progress: called after each fit.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to load

    def new_fit() -> LogisticRegression:
        # With another strength the fit of a fold begins where the one before ended.
        return LogisticRegression(max_iter=_MOST_STEPS, warm_start=True)

    features = np.asarray(features, np.float64)
    fold_of, folds = _folds(labels, seed)
    tested = fold_of != _OUT
    fits = [new_fit() for _ in range(folds)]
    best, best_loss, worse = UNTESTED, np.inf, 0
    held_out = np.full(len(labels), _OUT)
    for strength in STRENGTHS if folds else ():
        logits = np.zeros((len(labels), int(labels.max()) + 1))
        for fold, fit in enumerate(fits):
            out = fold_of == fold
            weights, biases = _fit(fit, features[~out], labels[~out], strength)
            logits[out] = features[out, 0] @ weights + biases
            progress()
        loss = _cross_entropy(logits[tested], labels[tested])
        if loss < best_loss:
            best, best_loss, worse = strength, loss, 0
            held_out[tested] = logits[tested].argmax(axis=1)
        else:
            worse += 1
            if worse == _WORSE:
                break
    weights, biases = _fit(new_fit(), features, labels, best)
    progress()
    return LinearHead(weights.astype(np.float32), biases.astype(np.float32), best, folds, held_out)


def _folds(labels: np.ndarray, seed: int) -> Tuple[np.ndarray, int]:
    """(fold of each image, number of folds): every class is spread over the folds as evenly as can be."""
    fold_of = np.full(len(labels), _OUT)
    counts = np.bincount(labels)
    if counts.max() < 2:
        return fold_of, 0
    folds = min(MOST_FOLDS, int(counts.max()))
    order = np.lexsort((np.random.RandomState(seed).rand(len(labels)), labels))
    order = order[counts[labels[order]] > 1]  # every fit sees every class
    fold_of[order] = np.arange(len(order)) % folds
    return fold_of, folds


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[np.arange(len(labels)), labels]).mean())


def _fit(
    regression: Any, features: np.ndarray, labels: np.ndarray, strength: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Weights (C, classes) and biases (classes,), float64, for features (N, V, C) as they are."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    _, views, channels = features.shape
    rows = features.reshape(-1, channels)
    mean = rows.mean(axis=0)
    rows = rows - mean
    scale = np.sqrt(np.mean(rows**2)) or 1.0
    rows /= scale
    # Views repeat an image: together they weigh as much as one.
    regression.C = strength / views
    # With one thread the sums, and so the result to the bit, do not depend on the number of cores; more
    # are of little use for matrices of this size.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(rows, np.repeat(labels, views))
    weights, biases = regression.coef_, regression.intercept_
    if len(weights) == 1:  # two classes: scikit-learn keeps the difference of their logits
        weights, biases = (np.concatenate([-part, part]) / 2 for part in (weights, biases))
    weights = weights.T / scale
    return weights, biases - mean @ weights


def _report(
    training: DataSet,
    head: LinearHead,
    features: np.ndarray,
    labels: np.ndarray,
    measured: Optional[Tuple[np.ndarray, np.ndarray]],
) -> Iterator[str]:
    """Lines for people: small classes, the strength, accuracies, and confusions."""
    for index, count in sorted(Counter(labels.tolist()).items()):
        if count < FEW_IMAGES:
            images = "1 training image" if count == 1 else f"{count} training images"
            name = printable(training.class_name(index))
            yield f"{name}: {images}; five or more give a steadier classifier"
    tested = head.held_out != _OUT
    chosen = "no class has two images to compare others"
    if head.folds:
        accuracy = _accuracy(labels[tested], head.held_out[tested])
        chosen = f"by {head.folds}-fold cross-validation: accuracy {accuracy}"
    yield f"Regularization C {head.strength:g} an image; {chosen}"
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
    counts, pairs = Counter(labels), Counter(sorted(zip(labels, predicted)))
    names = [printable(training.class_name(index)) for index in range(training.classes)]
    if training.classes <= _FULL_TABLE:
        rows = [
            {"class": name, **{f"-> {n}": pairs[i, j] for j, n in enumerate(names)}}
            for i, name in enumerate(names)
        ]
        return f"Predictions (columns) of {what} of each class (rows):\n" + format_table(rows)
    wrong = Counter({pair: count for pair, count in pairs.items() if pair[0] != pair[1]})
    if not wrong:
        return f"No confusions of {what}"
    rows = [
        {"class": names[true], "taken for": names[other], "images": n, "of": counts[true]}
        for (true, other), n in wrong.most_common(_SHOWN_CONFUSIONS)
    ]
    return f"Most frequent confusions of {what}:\n" + format_table(rows)
