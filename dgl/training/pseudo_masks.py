"""Pseudo masks from attention maps: what `dgl refine` teaches, and the activations that it learns from."""

import json
import os
import shutil
import threading
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from dgl.attribution.gradients import KERNEL
from dgl.backbones import BuildOptions, Network
from dgl.backbones.registry import Backbone
from dgl.data.image_io import read_reduced
from dgl.data.sample import Sample
from dgl.data.views import rgb_to_bgr, squash
from dgl.errors import UserError
from dgl.predict.frozen import build_inference
from dgl.predict.grabcut import Seeds, pseudo_mask, small_image
from dgl.predict.session import open_session, prediction_tensors
from dgl.tf_compat import tf
from dgl.utils.devices import select_gpus
from dgl.utils.files import read_bounded, write_atomically
from dgl.utils.parallel import chunks_of, overlapped
from dgl.weights.checkpoint import Checkpoint

_COARSEST = 8  # the finest layer that the head reads has at most one place per 8 x 8 pixels
_TEACHING = 16  # stride of the maps that teach, at most
_MOST_FLOAT16 = 65504.0
_PROGRESS = "progress.json"
_MOST_PROGRESS = 1 << 28


class Lessons(NamedTuple):
    """What the head learns from."""

    activations: Dict[str, np.ndarray]  # layer -> (N, h, w, C) float16
    # (N, H, W) float32 in [0, 1], the part of each place that belongs to the object, at the size of
    # the largest activation
    masks: np.ndarray


def layers_to_read(backbone: Backbone, network: Network, image_size: int) -> List[str]:
    """The layers that a head reads: the last one of each size and number of channels.

    Layers with a stride below 8 are left out, and so is the one that feeds pooling, which has
    the classes' features. They go from the finest to the coarsest.
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

    Later maps are too coarse to start GrabCut from.
    """
    for layer in backbone.layers[1:]:
        if network.endpoints[layer].shape.as_list()[1] * _TEACHING >= image_size:
            return layer
    return backbone.layers[-1]


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
        """Build it; ``method`` and ``layer`` are those of the maps, by default :func:`teaching_layer`.

        The caller closes its ``session``.
        """
        gpus = select_gpus(gpu)
        self.image_size = image_size
        with tf.Graph().as_default():
            self._image = tf.placeholder(tf.uint8, [None, image_size, image_size, 3], "image")
            network = build_inference(backbone, checkpoint, self._image, options, gpus)
            self.layer = layer or teaching_layer(backbone, network, image_size)
            self._target, _, fetches = prediction_tensors(
                network, [method], [self.layer], backbone.layers[0], 10.0, KERNEL, False,
                image_size=image_size,
            )  # fmt: skip
            (self._map,) = fetches.maps.values()
            read = layers_to_read(backbone, network, image_size)
            self._activations = {name: network.endpoints[name] for name in read}
            # Layer -> (h, w, C) of what the head reads, from the finest to the coarsest.
            self.shapes = {
                name: tuple(t.shape.as_list()[1:]) for name, t in self._activations.items()
            }
            self.session = open_session(gpus)

    def __call__(self, images: np.ndarray, classes: Sequence[int]) -> Tuple[Any, np.ndarray]:
        """(layer -> float32 activations, maps) of uint8 BGR images."""
        feeds = {self._image: images, self._target: classes}
        found: Tuple[Any, np.ndarray] = self.session.run([self._activations, self._map], feeds)
        return found


class Progress(NamedTuple):
    """How far :func:`collect` has come."""

    images: int = 0  # number that it has looked at, from the first on
    lessons: int = 0  # number of those that gave a mask
    errors: Tuple[str, ...] = ()  # reasons why images cannot be read


def collect(
    graph: FrozenTeacher,
    samples: Sequence[Sample],
    folder: str,
    seeds: Seeds,
    batch: int,
    workers: Optional[int],
    key: str,
) -> Tuple[Lessons, Tuple[str, ...]]:
    """Activations and pseudo masks of images, going on where an interrupted call with the same key stopped.

    Args:
        graph, samples, batch: the network, the images, and how many of them it takes at a time.
        folder: for activations and masks, which stay on the disk.
        seeds: how GrabCut starts from a map.
        workers: threads that decode and that find masks.
        key: what the images, the network and the settings are; work of another key is begun anew.

    Returns:
        (what the head learns from, reasons why images cannot be read).

    Raises:
        UserError: the disk has no room.
    """
    height, width = next(iter(graph.shapes.values()))[:2]
    path = os.path.join(folder, _PROGRESS)
    done = _read_progress(path, key)
    needed = len(samples) * (2 * sum(map(np.prod, graph.shapes.values())) + 4 * height * width)
    free = shutil.disk_usage(folder).free
    if not done.images and needed > free:
        raise UserError(
            f"{folder}: activations of the training images take {needed / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free; expected a disk with more room or fewer images"
        )

    def opened(name: str, kind: Any, *shape: int) -> np.ndarray:
        mode, file = "r+" if done.images else "w+", os.path.join(folder, name)
        return np.lib.format.open_memmap(file, mode, kind, (len(samples), *shape))

    kept = {
        name: opened(f"{number}.npy", np.float16, *shape)
        for number, (name, shape) in enumerate(graph.shapes.items())
    }
    masks = opened("masks.npy", np.float32, height, width)
    turn = threading.Lock()

    def load(sample: Sample) -> Any:
        try:
            image = read_reduced(sample.path).image
        except UserError as error:
            return str(error)
        return squash(image, (), graph.image_size)[0], sample.class_index

    def predict(loaded: List[Any]) -> Tuple[List[Any], List[Any]]:
        readable = [one for one in loaded if not isinstance(one, str)]
        if not readable:
            return loaded, []
        images, classes = zip(*readable)
        with turn:  # two runs at once would take twice the memory
            activations, maps = graph(rgb_to_bgr(np.stack(images)), classes)
        own = [{name: value[i] for name, value in activations.items()} for i in range(len(images))]
        return loaded, list(zip(images, maps, own))

    def find(job: Any) -> Any:
        image, raw, own = job
        mask = pseudo_mask(small_image(image), raw, seeds)
        if mask is None:
            return None
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        return small, own

    rest = chunks_of(samples[done.images :], batch)
    with tqdm(
        total=len(samples), initial=done.images, unit=" images", desc="maps and masks"
    ) as bar:
        for loaded, found in overlapped(rest, load, predict, find, workers):
            taken = done.lessons
            for small, own in filter(None, found):
                masks[taken] = small
                for name, value in own.items():
                    kept[name][taken] = np.clip(value, -_MOST_FLOAT16, _MOST_FLOAT16)
                taken += 1
            bar.update(len(loaded))
            errors = (one for one in loaded if isinstance(one, str))
            done = Progress(bar.n, taken, (*done.errors, *errors))
            # The system writes the arrays out by itself, also when this process is killed.
            write_atomically(path, json.dumps({"key": key, **done._asdict()}).encode("utf-8"))
    lessons = {name: value[: done.lessons] for name, value in kept.items()}
    return Lessons(lessons, masks[: done.lessons]), done.errors


def _read_progress(path: str, key: str) -> Progress:
    """What ``path`` says; nothing is done where it is absent, damaged or of another key."""
    data = read_bounded(path, _MOST_PROGRESS, "the progress of `dgl refine`")
    try:
        values = json.loads((data or b"{}").decode("utf-8"))
        if values["key"] == key:
            return Progress(int(values["images"]), int(values["lessons"]), tuple(values["errors"]))
    except (ValueError, KeyError, TypeError):
        pass
    return Progress()
