"""DGL maps in TensorBoard and GT-known localization after every epoch of a training.

The maps are those of the true class, of a few validation images. Boxes serve this alone: neither the
loss, the learning rate, the order of the images nor the choice of the best checkpoint depends on them,
so training stays weakly supervised.
"""

import itertools
import time
from dataclasses import replace
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.attribution import build_maps
from dgl.attribution.build import CHANNELS_FIRST
from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.data.image_io import encode_image, read_reduced
from dgl.data.sample import Sample
from dgl.data.views import GEOMETRIES, View, rgb_to_bgr
from dgl.errors import UserError, first_line, printable
from dgl.metrics.box_check import fit_boxes
from dgl.metrics.fixed_threshold import PROTOCOL, FixedThresholdEvaluator
from dgl.predict.overlay import draw_boxes, overlay
from dgl.predict.postprocess import DEFAULT_THRESHOLD, score_map
from dgl.tf_compat import tf
from dgl.training.recipe import Recipe

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.tfutils.tower import PredictTowerContext  # isort: skip
from tensorpack.utils import logger  # isort: skip

GT_KNOWN = "val-gt-known"
METHOD = "dgl"
IOU = 0.5
_MAX_BATCH = 16  # maps need every activation down to their layer
_GAP = 4  # pixels between the parts of a drawn strip
_MAX_CLASS_NAME = 60


class AttentionImages(NamedTuple):
    """Images and layers of the maps, the same at every epoch and in a resumed run."""

    drawn: List[Sample]  # samples whose maps are drawn
    measured: List[Sample]  # samples on which GT-known is measured; each has a box
    layers: Tuple[str, ...]  # names of the layers; GT-known is measured at the first

    def __str__(self) -> str:
        parts = []
        if self.drawn:
            parts.append(
                f"DGL maps of {len(self.drawn)} validation images at {', '.join(self.layers)}"
            )
        if self.measured:
            parts.append(f"GT-known at {self.layers[0]} on {len(self.measured)} images with boxes")
        return ", ".join([*parts, "every epoch"])


def choose_images(
    samples: Sequence[Sample], drawn: int, measured: int, layers: Sequence[str]
) -> Optional[AttentionImages]:
    """Choose so many validation images to draw and to measure, if any, without random numbers."""
    boxed = [sample for sample in samples if sample.boxes]
    to_measure = spread_over_classes(boxed, measured)
    # Preferably images that are measured anyway.
    pool = next((pool for pool in (to_measure, boxed) if len(pool) >= drawn), samples)
    to_draw = spread_over_classes(pool, drawn)
    return AttentionImages(to_draw, to_measure, tuple(layers)) if to_draw or to_measure else None


def spread_over_classes(samples: Sequence[Sample], count: int) -> List[Sample]:
    """Choose ``count`` samples, or all if there are no more, of as many classes as possible.

    They are the first of every class, then the second of every class, and so on; in the last round, those
    of classes at equal distances.
    """
    by_class: Dict[int, List[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.class_index, []).append(sample)
    chosen: List[Sample] = []
    for place in itertools.zip_longest(*(by_class[key] for key in sorted(by_class))):
        found = [sample for sample in place if sample is not None]
        take = min(len(found), count - len(chosen))
        chosen.extend(found[n * len(found) // take] for n in range(take))
    return chosen


def default_measured(epoch_images: int) -> int:
    """How many images to measure: 200, but at most a tenth of an epoch's, so that an epoch stays short."""
    return max(20, min(200, epoch_images // 10))


class _Image(NamedTuple):
    """A sample in the network's view, and the tag of its summaries (``None``: only measured)."""

    sample: Sample
    tag: Optional[str]
    view: View


class AttentionCallback(Callback):
    """After every epoch, write image summaries of the drawn images and the scalar ``val-gt-known``.

    Runs on the chief only, without any exchange between processes. It adds neither variables nor random
    operations to the graph, so training gives the same weights with and without it.
    """

    def __init__(
        self,
        recipe: Recipe,
        images: AttentionImages,
        class_name: Callable[[int], str],
        before_batch: Optional[Callable[[], Any]] = None,
    ) -> None:
        """Prepare; images are read after the first epoch, ``before_batch()`` precedes each batch."""
        self._recipe = recipe
        self._images = images
        self._class_name = class_name
        self._before_batch = before_batch
        self._evaluator = FixedThresholdEvaluator(recipe.options.classes, DEFAULT_THRESHOLD, IOU)
        self._batch = max(1, min(_MAX_BATCH, recipe.tower_batch))
        self._views: Optional[List[_Image]] = None
        self._failed = False

    def _setup_graph(self) -> None:
        recipe = self._recipe
        backbone, size = get_backbone(recipe.mode), recipe.image_size
        options = replace(recipe.options, training=False)
        vs_name = self.trainer._vs_name_for_predictor(0)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True), PredictTowerContext(
            "attention", vs_name=vs_name
        ):
            self._input = tf.placeholder(tf.uint8, [None, size, size, 3], "image")
            self._label = tf.placeholder(tf.int32, [None], "label")
            network = build_network(backbone, self._input, options)
            if options.data_format == CHANNELS_FIRST:
                # The closed form of the pooled layer's gradient is for channels-last activations.
                network = replace(network, head_weights=None)
            maps = build_maps(
                network,
                [METHOD],
                self._images.layers,
                backbone.layers[0],
                self._label,
                image_size=size,
                data_format=options.data_format,
            )
        self._maps = {layer: tensor for (_, layer), tensor in maps.items()}

    def _trigger(self) -> None:
        if self._failed:
            return
        start, is_first = time.time(), self._views is None
        if self._views is None:
            self._views = self._read()
        try:
            measured = self._draw_and_measure(self._views)
        except tf.errors.OpError as error:
            # The memory that suffices for a training step may be too little for the maps.
            self._failed = True
            logger.warning(
                "No more attention maps, training continues without: %s", first_line(error)
            )
            return
        if is_first:
            logger.info(
                "Drew the maps of %d images and measured GT-known on %d in %.1f s.",
                sum(image.tag is not None for image in self._views),
                measured,
                time.time() - start,
            )

    def _read(self) -> List[_Image]:
        """Read all images, leaving out those that cannot be read."""
        tags = {
            sample: f"maps/{number} {printable(self._class_name(sample.class_index))[:_MAX_CLASS_NAME]}"
            for number, sample in enumerate(self._images.drawn)
        }
        images = []
        for sample in dict.fromkeys(self._images.drawn + self._images.measured):
            try:
                decoded = read_reduced(sample.path)
            except UserError as error:
                logger.warning("%s; left out of the attention maps", error)
                continue
            boxes = decoded.to_image(fit_boxes(sample.boxes, decoded).boxes)
            view = GEOMETRIES[PROTOCOL].view(decoded.image, boxes, self._recipe.image_size)
            images.append(_Image(sample, tags.get(sample), view))
        return images

    def _draw_and_measure(self, images: Sequence[_Image]) -> int:
        """Run the network on all images; returns on how many GT-known was measured."""
        measured = set(self._images.measured)
        overlaps = []
        for start in range(0, len(images), self._batch):
            if self._before_batch is not None:
                self._before_batch()
            batch = images[start : start + self._batch]
            maps = self._run(batch)
            for index, image in enumerate(batch):
                view = image.view
                score_maps = [_score_map(raw[index], view.map_size) for raw in maps]
                found = [self._evaluator.localize(one, view.boxes)[:2] for one in score_maps]
                if image.tag is not None:
                    strip = _strip(view, score_maps, [boxes for boxes, _ in found])
                    self.trainer.monitors.put_summary(_image_summary(image.tag, strip))
                iou = found[0][1]
                if image.sample in measured and not np.isnan(iou):
                    overlaps.append(iou)
        if overlaps:
            right = sum(iou >= IOU for iou in overlaps)
            self.trainer.monitors.put_scalar(GT_KNOWN, right / float(len(overlaps)))
        return len(overlaps)

    def _run(self, batch: Sequence[_Image]) -> List[np.ndarray]:
        """Maps (N, h, w) of each layer; only of the first if nothing is drawn."""
        drawn = any(image.tag is not None for image in batch)
        layers = self._images.layers if drawn else self._images.layers[:1]
        feed = {
            self._input: np.stack([rgb_to_bgr(image.view.image) for image in batch]),
            self._label: [image.sample.class_index for image in batch],
        }
        maps = [self._maps[layer] for layer in layers]
        return list(self.trainer.sess.run(maps, feed))


def _score_map(raw: np.ndarray, size: int) -> np.ndarray:
    """(size, size) in [0, 1]; zeros, which give no box, if the map is not finite."""
    if not np.isfinite(raw).all():
        return np.zeros((size, size), np.float32)
    return score_map(raw, size, size)


def _strip(view: View, score_maps: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 RGB of the image with its true boxes, then each layer's overlay with the predicted box."""
    gap = np.full((view.image.shape[0], _GAP, 3), 255, np.uint8)
    parts = [draw_boxes(view.image, truth=view.boxes)]
    for own_map, predicted in zip(score_maps, boxes):
        heat = overlay(view.image, own_map)
        parts += [gap, draw_boxes(heat, predicted=predicted, truth=view.boxes)]
    return np.concatenate(parts, axis=1)


def _image_summary(tag: str, rgb: np.ndarray) -> Any:
    """``tf.Summary`` of one PNG image under exactly this tag."""
    summary = tf.Summary()
    image = summary.value.add(tag=tag).image
    image.height, image.width, image.colorspace = rgb.shape
    image.encoded_image_string = encode_image(rgb, ".png")
    return summary
