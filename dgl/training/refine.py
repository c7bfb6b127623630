"""Teach a foreground head with a checkpoint's own attention maps: `dgl refine`.

Maps find an object, but seldom to its edges. Here each training image's map seeds GrabCut (Rother et al.,
SIGGRAPH 2004), which follows the colors of the image to the object's edges, and a small head on the frozen
network's activations learns the masks of all images. What is wrong in single masks differs from image to
image; the head learns what they share. Image labels are all that it needs, as in PSOL (Zhang et al., CVPR
2020), which learns boxes from maps.
"""

import os
import tempfile
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from dgl.attribution import parse_method
from dgl.attribution.gradients import KERNEL
from dgl.attribution.registry import FOREGROUND
from dgl.backbones import BuildOptions, Network, get_backbone
from dgl.backbones.foreground import (
    HIDDEN_BIAS,
    SCORE,
    SCORE_BIAS,
    foreground_logits,
    layer_weights,
)
from dgl.backbones.registry import Backbone
from dgl.data.image_io import read_image
from dgl.data.sample import DataSet, Sample
from dgl.data.views import rgb_to_bgr, squash
from dgl.errors import UserError
from dgl.predict.frozen import build_inference
from dgl.predict.postprocess import score_map
from dgl.predict.session import open_session, prediction_tensors
from dgl.tf_compat import tf
from dgl.utils.devices import select_gpus
from dgl.utils.parallel import chunks_of, overlapped
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
from dgl.weights.checkpoint import Checkpoint
from dgl.weights.identify import mode_for
from dgl.weights.model_card import default_image_size
from dgl.weights.restore import network_variables

STEPS = 300
UNITS = 64
_BATCH = 16
_LEARNING_RATE = 1e-3
_COARSEST = 8  # the finest layer that the head reads has at most one place per 8 x 8 pixels
_TEACHING = 16  # stride of the maps that teach, at most
_OBJECT, _BACKGROUND = (
    0.5,
    0.2,
)  # parts of a place that the mask covers; what lies between is left out
# Side of the images that GrabCut sees. At 112 pupils are a point or two worse, and at 224 some
# images take ten seconds.
_MASK_SIZE = 160
_MOST_FLOAT16 = 65504.0
_LEAST_DEVIATION = 1e-3


class Seeds(NamedTuple):
    """How GrabCut starts from a map that was normalized to [0, 1].

    Attributes:
        sure: above it a pixel is the object.
        probable: above it a pixel is probably the object, below it probably background.
        background: below it a pixel is background.
    """

    sure: float = 0.4
    probable: float = 0.05
    background: float = 0.005


SEEDS = Seeds()
# By method, where others do better: the square root in NormGrad raises small values.
SEEDS_OF = {"normgrad": Seeds(0.7, 0.35, 0.15)}


class Lessons(NamedTuple):
    """What the head learns from.

    Attributes:
        activations: layer -> (N, h, w, C) float16.
        masks: (N, H, W) float32 in [0, 1], the part of each place that belongs to the object, at the
            size of the largest activation.
    """

    activations: Dict[str, np.ndarray]
    masks: np.ndarray


def layers_to_read(backbone: Backbone, network: Network, image_size: int) -> List[str]:
    """The layers that a head reads: the last one of each size and number of channels.

    Layers with a stride below 8 are left out, and so is the one that feeds pooling, which has
    the classes' features.

    Args:
        backbone: registry entry.
        network: built, with endpoints of a known size.
        image_size: side of the input in pixels.

    Returns:
        list of str, from the finest to the coarsest.
    """
    found: Dict[Tuple[int, ...], str] = {}
    for layer in backbone.layers[1:]:
        shape = tuple(network.endpoints[layer].shape.as_list()[1:])
        if shape[0] * _COARSEST > image_size + _COARSEST:
            break
        found.setdefault(shape, layer)
    return list(found.values())[::-1]


def teaching_layer(backbone: Backbone, network: Network, image_size: int) -> str:
    """The layer whose maps teach by default: the last one with a stride of at most 16.

    Later maps are too coarse to start GrabCut from. Arguments: :func:`layers_to_read`.
    """
    for layer in backbone.layers[1:]:
        if network.endpoints[layer].shape.as_list()[1] * _TEACHING >= image_size:
            return layer
    return backbone.layers[-1]


def pseudo_mask(image: np.ndarray, raw: np.ndarray, seeds: Seeds = SEEDS) -> Optional[np.ndarray]:
    """The object in an image by GrabCut that starts from a map.

    Args:
        image: (S, S, 3) uint8.
        raw: (h, w) float, an attention map; what is negative counts as 0.
        seeds: :class:`Seeds`.

    Returns:
        (S, S) bool, or ``None`` where the map or the result has no object or no background.
    """
    score = score_map(np.maximum(raw, 0), *image.shape[:2])
    labels = np.full(score.shape, cv2.GC_PR_BGD, np.uint8)
    labels[score > seeds.probable] = cv2.GC_PR_FGD
    labels[score > seeds.sure] = cv2.GC_FGD
    # A map with no zeros has background all the same: the lowest fiftieth.
    labels[score <= max(seeds.background, np.percentile(score, 2))] = cv2.GC_BGD
    known = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not known.any() or known.all():
        return None
    cv2.setRNGSeed(0)  # of the k-means that GrabCut begins with
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image, labels, (0, 0, 0, 0), *models, 5, cv2.GC_INIT_WITH_MASK)
    mask: np.ndarray = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return None if not mask.any() or mask.all() else mask


class _Graph:
    """A frozen network with the activations that a head reads and the maps that teach it."""

    def __init__(
        self,
        backbone: Backbone,
        checkpoint: Checkpoint,
        options: BuildOptions,
        image_size: int,
        method: str,
        layer: Optional[str] = None,
        gpu: Optional[str] = None,
    ):
        """Build it.

        Args:
            backbone, checkpoint, options: of the network.
            image_size: side of the input in pixels.
            method, layer: of the maps; by default :func:`teaching_layer`.
            gpu: see :func:`~dgl.utils.devices.select_gpus`.
        """
        gpus = select_gpus(gpu)
        with tf.Graph().as_default():
            self._image = tf.placeholder(tf.uint8, [None, image_size, image_size, 3], "image")
            network = build_inference(backbone, checkpoint, self._image, options, gpus)
            read = layers_to_read(backbone, network, image_size)
            layer = layer or teaching_layer(backbone, network, image_size)
            self._target, _, fetches = prediction_tensors(
                network, [method], [layer], backbone.layers[0], 10.0, KERNEL, False,
                image_size=image_size,
            )  # fmt: skip
            (self._map,) = fetches.maps.values()
            self._activations = {name: network.endpoints[name] for name in read}
            self.session = open_session(gpus)

    @property
    def shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Layer -> (h, w, C) of what the head reads, from the finest to the coarsest."""
        return {
            name: tuple(tensor.shape.as_list()[1:]) for name, tensor in self._activations.items()
        }

    def __call__(self, images: np.ndarray, classes: Sequence[int]) -> Tuple[Any, np.ndarray]:
        """(layer -> float32 activations, maps) of uint8 BGR images."""
        feeds = {self._image: images, self._target: classes}
        found: Tuple[Any, np.ndarray] = self.session.run([self._activations, self._map], feeds)
        return found


def collect(
    graph: _Graph,
    samples: Sequence[Sample],
    image_size: int,
    folder: str,
    seeds: Seeds = SEEDS,
    batch: int = 8,
    workers: Optional[int] = None,
) -> Tuple[Lessons, List[str]]:
    """Activations and pseudo masks of images.

    Args:
        graph: the frozen network.
        samples: training images with their classes.
        image_size: side of the network's input.
        folder: for the activations, which stay on the disk.
        seeds: :class:`Seeds`.
        batch: images per run of the network.
        workers: threads that decode and that find masks.

    Returns:
        (:class:`Lessons`, reasons why images cannot be read).
    """
    shapes = graph.shapes
    kept = {
        name: np.lib.format.open_memmap(
            os.path.join(folder, f"{number}.npy"), "w+", np.float16, (len(samples), *shape)
        )
        for number, (name, shape) in enumerate(shapes.items())
    }
    height, width = next(iter(shapes.values()))[:2]
    errors: List[str] = []
    masks: List[np.ndarray] = []

    def load(sample: Sample) -> Any:
        try:
            return squash(read_image(sample.path), (), image_size)[0], sample.class_index
        except UserError as error:
            return str(error)

    def predict(loaded: List[Any]) -> Tuple[int, List[Any]]:
        errors.extend(one for one in loaded if isinstance(one, str))
        readable = [one for one in loaded if not isinstance(one, str)]
        if not readable:
            return len(loaded), []
        images, classes = zip(*readable)
        activations, maps = graph(rgb_to_bgr(np.stack(images)), classes)
        own = [{name: value[i] for name, value in activations.items()} for i in range(len(images))]
        return len(loaded), list(zip(images, maps, own))

    def find(job: Any) -> Any:
        image, raw, own = job
        side = (_MASK_SIZE, _MASK_SIZE)
        mask = pseudo_mask(cv2.resize(image, side, interpolation=cv2.INTER_AREA), raw, seeds)
        if mask is None:
            return None
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        return small, own

    with tqdm(total=len(samples), unit=" images", desc="maps and masks") as bar:
        for count, found in overlapped(chunks_of(samples, batch), load, predict, find, workers):
            for lesson in filter(None, found):
                for name, value in lesson[1].items():
                    kept[name][len(masks)] = np.clip(value, -_MOST_FLOAT16, _MOST_FLOAT16)
                masks.append(lesson[0])
            bar.update(count)
    lessons = {name: value[: len(masks)] for name, value in kept.items()}
    return Lessons(lessons, np.array(masks, np.float32).reshape(-1, height, width)), errors


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
    """He's initial values of a head, variable name -> float32 array.

    Args:
        shapes: layer -> (h, w, C).
        units: of the hidden layer.
        seed: of the values.
    """
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

    Args:
        lessons: :class:`Lessons` of at least one image.
        seed: of initial values and order; equal seeds give equal weights.
        steps: of 16 images.
        units: of the hidden layer.

    Returns:
        variable name -> float32 array, as :mod:`dgl.backbones.foreground` reads them: for
        activations as they are.
    """
    shapes = {name: array.shape[1:] for name, array in lessons.activations.items()}
    scales = {name: moments(array) for name, array in lessons.activations.items()}
    rng = np.random.RandomState([seed, 1])
    order: List[int] = []
    with tf.Graph().as_default():
        fed = {name: tf.placeholder(tf.float32, (None, *shape)) for name, shape in shapes.items()}
        standardized = {
            name: (tensor - scales[name][0]) / scales[name][1] for name, tensor in fed.items()
        }
        weights = {
            name: tf.Variable(value) for name, value in initial_weights(shapes, units, seed).items()
        }
        mask = tf.placeholder(tf.float32, [None, *lessons.masks.shape[1:]])
        loss = _balanced(foreground_logits(standardized, weights), mask)
        step = tf.train.AdamOptimizer(_LEARNING_RATE).minimize(loss)
        config = tf.ConfigProto(
            # One thread: several would sum gradients in an order that changes.
            intra_op_parallelism_threads=1, inter_op_parallelism_threads=1,
            device_count={"GPU": 0}, use_per_session_threads=True,
        )  # fmt: skip
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            for _ in tqdm(range(steps), unit=" steps", desc="head"):
                while len(order) < _BATCH:
                    order.extend(rng.permutation(len(lessons.masks)))
                chosen, order = np.sort(order[:_BATCH]), order[_BATCH:]
                feeds = {fed[name]: lessons.activations[name][chosen] for name in fed}
                session.run(step, {**feeds, mask: lessons.masks[chosen]})
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
    """Weights for activations as they are, from those for standardized ones.

    Args:
        weights: variable name -> array.
        scales: layer -> mean and deviation of its channels.
    """
    folded = {name: value.astype(np.float64) for name, value in weights.items()}
    for layer, (mean, deviation) in scales.items():
        name = layer_weights(layer)
        folded[name] /= deviation.astype(np.float64)[:, np.newaxis]
        folded[HIDDEN_BIAS] -= mean.astype(np.float64) @ folded[name][0, 0]
    return {name: value.astype(np.float32) for name, value in folded.items()}


class Refined(NamedTuple):
    """What :func:`refine` did.

    Attributes:
        out: the checkpoint that was written.
        layers: that the head reads.
        images: number that it learnt from.
        without_object: number of images whose mask had no object or no background.
        errors: reasons why images cannot be read.
    """

    out: str
    layers: Tuple[str, ...]
    images: int
    without_object: int
    errors: Tuple[str, ...]


def refine(
    load: str,
    dataset: DataSet,
    out: str,
    mode: Optional[str] = None,
    method: str = "dgl",
    layer: Optional[str] = None,
    seeds: Optional[Seeds] = None,
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
        out: path ending in ``.npz``; the model card is written beside it.
        mode: backbone; by default the checkpoint's.
        method, layer: of the maps; by default :func:`teaching_layer`.
        seeds: how GrabCut starts from a map; by default that of :data:`SEEDS_OF`, else :data:`SEEDS`.
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
    options = options_from(backbone, checkpoint, last_stride=card.last_stride if card else 1)
    if dataset.classes > options.classes:
        raise UserError(
            f"{dataset.name}: labels of {dataset.classes} classes, but the checkpoint has "
            f"{options.classes}"
        )
    graph = _Graph(backbone, checkpoint, options, image_size, method, layer, gpu)
    with tempfile.TemporaryDirectory(prefix="dgl-refine-") as folder:
        with graph.session:
            lessons, errors = collect(
                graph,
                dataset.samples,
                image_size,
                folder,
                seeds or SEEDS_OF.get(method, SEEDS),
                batch,
                workers,
            )
        count = len(lessons.masks)
        if not count:
            raise UserError(
                f"{dataset.name}: no image has a map that gives a mask"
                + (f"; {len(errors)} cannot be read, the first: {errors[0]}" if errors else "")
            )
        head = teach(lessons, seed, steps)
        names = network_variables(backbone, options, image_size)
        save_npz(out, {**{name: read_weights(checkpoint, name) for name in names}, **head})
    if card is None:
        names_of = class_names_of(card, backbone, options.head, options.classes).names
        card = ModelCard(backbone.mode, image_size, names_of or None)
    write_card(os.path.splitext(out)[0] + ".json", card)
    left = len(dataset.samples) - count - len(errors)
    return Refined(out, tuple(lessons.activations), count, left, tuple(errors))
