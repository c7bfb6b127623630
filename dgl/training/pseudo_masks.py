"""Pseudo masks from attention maps: what `dgl refine` teaches, and the activations that it learns from."""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from dgl.attribution.gradients import KERNEL
from dgl.backbones import BuildOptions, Network
from dgl.backbones.registry import Backbone
from dgl.data.image_io import read_image
from dgl.data.sample import Sample
from dgl.data.views import rgb_to_bgr, squash
from dgl.errors import UserError
from dgl.predict.frozen import build_inference
from dgl.predict.postprocess import score_map
from dgl.predict.session import open_session, prediction_tensors
from dgl.tf_compat import tf
from dgl.utils.devices import select_gpus
from dgl.utils.parallel import chunks_of, overlapped
from dgl.weights.checkpoint import Checkpoint

_COARSEST = 8  # the finest layer that the head reads has at most one place per 8 x 8 pixels
_TEACHING = 16  # stride of the maps that teach, at most
# Side of the images that GrabCut sees. At 112 pupils are a point or two worse, and at 224 some
# images take ten seconds.
_MASK_SIZE = 160
_MOST_FLOAT16 = 65504.0


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


class FrozenTeacher:
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
    graph: FrozenTeacher,
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
