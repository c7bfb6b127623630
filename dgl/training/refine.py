"""Teach a foreground head with a checkpoint's own attention maps: `dgl refine`.

Each training image's map seeds GrabCut (Rother et al., SIGGRAPH 2004), which follows the image's colors
to the object's edges, and a small head on the frozen network's activations learns what the masks of all
images share. Image labels are all that it needs, as in PSOL (Zhang et al., CVPR 2020), which learns
boxes from maps.
"""

import hashlib
import os
import shutil
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np
from tqdm import tqdm

from dgl import __version__
from dgl.attribution import parse_method
from dgl.attribution.registry import FOREGROUND
from dgl.backbones import get_backbone
from dgl.backbones.foreground import (
    HIDDEN_BIAS,
    SCORE,
    SCORE_BIAS,
    foreground_logits,
    layer_weights,
)
from dgl.data.labels import fit_labels
from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.predict.grabcut import SEEDS, SEEDS_OF
from dgl.tf_compat import tf
from dgl.training.pseudo_masks import FrozenTeacher, Lessons, collect
from dgl.weights import (
    ModelCard,
    class_names_of,
    open_weights,
    options_from,
    read_card,
    read_weights,
    save_npz,
    write_card,
)
from dgl.weights.identify import mode_for
from dgl.weights.model_card import default_image_size
from dgl.weights.restore import network_variables

STEPS = 300
UNITS = 64
_BATCH = 16
_LEARNING_RATE = 1e-3
# Part of the channels that are left out of an image's step, so that the head does not learn single images'
# wrong masks by heart; chosen on training images of CUB-200-2011 that the head did not see.
_DROPPED = 0.3
# Parts of a place that the mask covers; what lies between is left out.
_OBJECT, _BACKGROUND = 0.5, 0.2
_LEAST_DEVIATION = 1e-3


def moments(array: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel of (N, h, w, C) numbers, float32 (C,) each."""
    total = squares = np.zeros(array.shape[-1])
    for image in array:  # one at a time, because the array is larger than memory may be
        values = image.reshape(-1, image.shape[-1]).astype(np.float64)
        total, squares = total + values.sum(0), squares + (values**2).sum(0)
    count = array.shape[0] * array.shape[1] * array.shape[2]
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0)) + _LEAST_DEVIATION
    return mean.astype(np.float32), deviation.astype(np.float32)


def initial_weights(shapes: Dict[str, Tuple[int, ...]], units: int, seed: int) -> Dict[str, Any]:
    """He's initial values of a head, variable name -> float32 array, for layers of (h, w, C)."""
    rng = np.random.RandomState(seed)
    channels = sum(shape[-1] for shape in shapes.values())
    values = {
        layer_weights(layer): rng.normal(0, np.sqrt(2 / channels), (1, 1, shape[-1], units))
        for layer, shape in shapes.items()
    }
    values[HIDDEN_BIAS] = np.zeros(units)
    values[SCORE] = rng.normal(0, np.sqrt(2 / units), (1, 1, units, 1))
    values[SCORE_BIAS] = np.zeros(1)
    return {name: value.astype(np.float32) for name, value in values.items()}


def teach(
    lessons: Lessons, seed: int = 0, steps: int = STEPS, units: int = UNITS
) -> Dict[str, np.ndarray]:
    """Train a head: Adam on the balanced cross-entropy of object and background.

    ``lessons`` are of at least one image, steps are of 16. Equal seeds, of initial values and order, give
    equal weights.

    Returns:
        variable name -> float32 array, as :mod:`dgl.backbones.foreground` reads them: for
        activations as they are.
    """
    shapes = {name: array.shape[1:] for name, array in lessons.activations.items()}
    scales = {name: moments(array) for name, array in lessons.activations.items()}
    rng = np.random.RandomState([seed, 1])
    order: List[int] = []
    with tf.Graph().as_default():
        fed, kept, standardized = {}, {}, {}
        for name, (mean, deviation) in scales.items():
            fed[name] = tf.placeholder(tf.float32, (None, *shapes[name]))
            kept[name] = tf.placeholder(tf.float32, (None, 1, 1, len(mean)))
            standardized[name] = kept[name] * (fed[name] - mean) / deviation
        initial = initial_weights(shapes, units, seed)
        weights = {name: tf.Variable(value) for name, value in initial.items()}
        mask = tf.placeholder(tf.float32, [None, *lessons.masks.shape[1:]])
        loss = _balanced(foreground_logits(standardized, weights), mask)
        step = tf.train.AdamOptimizer(_LEARNING_RATE).minimize(loss)
        config = tf.ConfigProto(device_count={"GPU": 0}, use_per_session_threads=True)
        # One thread: several would sum gradients in an order that changes.
        config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = 1
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            for _ in tqdm(range(steps), unit=" steps", desc="head"):
                while len(order) < _BATCH:
                    order.extend(rng.permutation(len(lessons.masks)))
                chosen, order = np.sort(order[:_BATCH]), order[_BATCH:]
                feeds = {mask: lessons.masks[chosen]}
                for name, activations in lessons.activations.items():
                    drawn = rng.random_sample((_BATCH, 1, 1, activations.shape[-1]))
                    feeds[fed[name]] = activations[chosen]
                    feeds[kept[name]] = (drawn >= _DROPPED) / (1 - _DROPPED)
                session.run(step, feeds)
            learnt = session.run(weights)
    return fold(learnt, scales)


def _balanced(logits: Any, mask: Any) -> Any:
    """Mean cross-entropy over the object's places plus that over the background's."""
    is_object = tf.cast(mask > _OBJECT, tf.float32)
    is_background = tf.cast(mask < _BACKGROUND, tf.float32)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=is_object)
    return sum(
        tf.reduce_sum(loss * part) / tf.maximum(tf.reduce_sum(part), 1)
        for part in (is_object, is_background)
    )


def fold(
    weights: Dict[str, np.ndarray], scales: Dict[str, Tuple[np.ndarray, np.ndarray]]
) -> Dict[str, np.ndarray]:
    """Weights for activations as they are, from those for activations standardized by ``scales``."""
    folded = {name: value.astype(np.float64) for name, value in weights.items()}
    for layer, (mean, deviation) in scales.items():
        name = layer_weights(layer)
        folded[name] /= deviation.astype(np.float64)[:, np.newaxis]
        folded[HIDDEN_BIAS] -= mean.astype(np.float64) @ folded[name][0, 0]
    return {name: value.astype(np.float32) for name, value in folded.items()}


class Refined(NamedTuple):
    """What :func:`refine` did."""

    out: str  # the checkpoint that was written
    layers: Tuple[str, ...]  # that the head reads
    images: int  # number that it learnt from
    without_object: int  # number of images whose mask had no object or no background
    errors: Tuple[str, ...]  # reasons why images cannot be read


def refine(
    load: str,
    dataset: DataSet,
    out: str,
    mode: Optional[str] = None,
    method: str = "dgl",
    layer: Optional[str] = None,
    seed: int = 0,
    steps: int = STEPS,
    batch: int = 8,
    workers: Optional[int] = None,
    gpu: Optional[str] = None,
) -> Refined:
    """Teach a head with a checkpoint's maps of training images, and write both as one checkpoint.

    Args:
        load: checkpoint, or a short name for ImageNet weights.
        dataset: images with the checkpoint's classes; boxes are not looked at.
        out: path ending in ``.npz``; the model card is written beside it. Activations and masks of the
            training images are in ``out + ".partial"`` until it is there: an interrupted call goes on.
        mode: backbone; by default the checkpoint's.
        method, layer: of the maps; by default :func:`teaching_layer`.
        seed, steps: of the head's training.
        batch, workers, gpu: see :func:`collect` and :func:`~dgl.utils.devices.select_gpus`.

    Raises:
        UserError: a bad flag, a checkpoint or data that do not fit, no image with a mask, a file that
            cannot be written.
    """
    if not out.endswith(".npz"):
        raise UserError(f"--out {out}: expected a name ending in .npz")
    if FOREGROUND in parse_method(method).method.needs:
        raise UserError(f"--method {method}: needs a head itself; expected another one")
    backbone = get_backbone(mode or mode_for(load))
    layer = None if layer is None else backbone.layer_name(layer)
    checkpoint = open_weights(backbone, load)
    card = read_card(checkpoint.path)
    image_size = default_image_size(backbone, card)
    options = options_from(backbone, checkpoint, card=card)
    names = class_names_of(card, backbone, options.head, options.classes)
    dataset = fit_labels(dataset, names)
    graph = FrozenTeacher(backbone, checkpoint, options, image_size, method, layer, gpu)
    seeds = SEEDS_OF.get(method, SEEDS)
    variables = network_variables(backbone, options)
    weights = {name: read_weights(checkpoint, name) for name in variables}
    folder = out + ".partial"
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    with graph.session:
        key = _key(weights, dataset, image_size, method, graph.layer, seeds)
        lessons, errors = collect(graph, dataset.samples, folder, seeds, batch, workers, key)
    count, layers = len(lessons.masks), tuple(lessons.activations)
    if count:
        head = teach(lessons, seed, steps)
        save_npz(out, {**weights, **head})
    del lessons
    shutil.rmtree(folder, ignore_errors=True)
    if not count:
        raise UserError(
            f"{dataset.name}: no image has a map that gives a mask"
            + (f"; {len(errors)} cannot be read, the first: {errors[0]}" if errors else "")
        )
    if card is None:
        card = ModelCard(backbone.mode, image_size, names.names or None)
    write_card(os.path.splitext(out)[0] + ".json", card)
    left = len(dataset.samples) - count - len(errors)
    return Refined(out, layers, count, left, errors)


def _key(weights: Mapping[str, np.ndarray], dataset: DataSet, *settings: Any) -> str:
    """What activations and masks depend on, as text that two different ones do not share."""
    digest = hashlib.sha256(repr((__version__, *settings)).encode("utf-8"))
    for name, value in weights.items():
        digest.update(name.encode("utf-8"))
        digest.update(np.ascontiguousarray(value).tobytes())
    for sample in dataset.samples:
        digest.update(f"{sample.path}\0{sample.class_index}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
