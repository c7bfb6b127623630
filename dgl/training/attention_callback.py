"""Attention maps and GT-known localization while a network trains, in the training's own session.

An inference tower shares the variables; DGL's maps of the true class come from its dual gradients. Boxes
serve this measurement and the drawings alone: the loss, the learning rate, the order of the images and
the choice of the best checkpoint know nothing of them, so training stays weakly supervised.
"""

import time
from dataclasses import replace
from typing import Any, Callable, NamedTuple, Optional

import cv2
import numpy as np

from dgl.attribution import build_maps
from dgl.attribution.build import CHANNELS_FIRST
from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.data.image_io import read_image
from dgl.data.views import GEOMETRIES
from dgl.errors import UserError, first_line, printable
from dgl.metrics.box_check import fit_boxes
from dgl.metrics.fixed_threshold import PROTOCOL, FixedThresholdEvaluator
from dgl.predict.overlay import draw_boxes, overlay
from dgl.predict.postprocess import normalize, resize_map
from dgl.tf_compat import tf
from dgl.training.attention_images import Watching
from dgl.training.recipe import Recipe

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.tfutils.tower import PredictTowerContext  # isort: skip
from tensorpack.utils import logger  # isort: skip

GT_KNOWN = "val-gt-known"
METHOD = "dgl"
THRESHOLD, IOU = 0.2, 0.5
_MOST_AT_ONCE = 16  # images a run: maps keep every activation up to the layer
_GAP = 4  # pixels between the parts of an image
_WHITE = 255
_LONGEST_NAME = 60


class _Tower(NamedTuple):
    """Graph tensors: the two inputs, and layer -> maps (N, h, w)."""

    image: Any
    label: Any
    maps: Any


class _Watched(NamedTuple):
    """One image in the network's view.

    Attributes:
        sample: :class:`~dgl.data.sample.Sample`.
        tag: of its summaries, or ``None`` where it is only measured.
        view: :class:`~dgl.data.views.View`.
    """

    sample: Any
    tag: Any
    view: Any


class Watcher(Callback):
    """After every epoch: image summaries of the watched images, and the scalar ``val-gt-known``.

    Runs on the chief alone and takes part in no exchange between processes. It adds no variable and no
    random operation to the graph, which it extends after all of training's are made.
    """

    def __init__(
        self,
        recipe: Recipe,
        watching: Watching,
        class_name: Callable[[int], str],
        between: Optional[Callable[[], Any]] = None,
    ):
        """Prepare; images are read at the first epoch's end.

        Args:
            recipe: :class:`~dgl.training.recipe.Recipe`.
            watching: :class:`~dgl.training.attention_images.Watching`.
            class_name: function of a class index, its name.
            between: callable without arguments, called before every run of the network, or ``None``.
        """
        self._recipe = recipe
        self._watching = watching
        self._class_name = class_name
        self._between = between
        self._evaluator = FixedThresholdEvaluator(recipe.options.classes, THRESHOLD, IOU)
        self._batch = max(1, min(_MOST_AT_ONCE, recipe.tower_batch))
        self._watched = None
        self._failed = False

    def _setup_graph(self):
        recipe = self._recipe
        backbone, size = get_backbone(recipe.mode), recipe.image_size
        options = replace(recipe.options, training=False)
        vs_name = self.trainer._vs_name_for_predictor(0)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True), PredictTowerContext(
            "watching", vs_name=vs_name
        ):
            image = tf.placeholder(tf.uint8, [None, size, size, 3], "image")
            label = tf.placeholder(tf.int32, [None], "label")
            network = build_network(backbone, image, options)
            if options.data_format == CHANNELS_FIRST:
                # The closed form of the pooled layer's gradient is for channels-last activations.
                network = replace(network, head_weights=None)
            maps = build_maps(
                network,
                [METHOD],
                self._watching.layers,
                backbone.layers[0],
                label,
                image_size=size,
                data_format=options.data_format,
            )
        self._tower = _Tower(image, label, {key[1]: op for key, op in maps.items()})

    def _trigger(self):
        if self._failed:
            return
        first = self._watched is None
        if first:
            self._watched = self._read()
        start = time.time()
        try:
            measured = self._watch()
        except tf.errors.OpError as error:
            # To look on is not worth a training's end: memory that suffices for a step may not for this.
            self._failed = True
            logger.warning("Watching has ended, training goes on: %s", first_line(error))
            return
        if first:
            logger.info(
                "Watched %d images and measured GT-known on %d in %.1f s.",
                sum(picture.tag is not None for picture in self._watched),
                measured,
                time.time() - start,
            )

    def _read(self):
        """Read every image once; one that cannot be read is named, and left out from then on."""
        tags = {
            sample: f"maps/{number} {printable(self._class_name(sample.class_index))[:_LONGEST_NAME]}"
            for number, sample in enumerate(self._watching.pictures)
        }
        watched = []
        for sample in dict.fromkeys(self._watching.pictures + self._watching.measured):
            try:
                image = read_image(sample.path)
            except UserError as error:
                logger.warning("%s; it is left out of what is watched", error)
                continue
            boxes = fit_boxes(sample.boxes, image).boxes
            view = GEOMETRIES[PROTOCOL].view(image, boxes, self._recipe.image_size)
            watched.append(_Watched(sample, tags.get(sample), view))
        return watched

    def _watch(self):
        """Run the network on all images; returns how many GT-known was measured on."""
        measured = set(self._watching.measured)
        overlaps = []
        for start in range(0, len(self._watched), self._batch):
            if self._between is not None:
                self._between()
            batch = self._watched[start : start + self._batch]
            maps = self._run(batch)
            for index, picture in enumerate(batch):
                score_maps = {
                    layer: _score_map(values[index], picture.view.map_size)
                    for layer, values in maps.items()
                }
                found = {
                    layer: self._evaluator.localize(score_map, picture.view.boxes)
                    for layer, score_map in score_maps.items()
                }
                if picture.tag is not None:
                    strip = _strip(picture.view, score_maps, found)
                    self.trainer.monitors.put_summary(_image_summary(picture.tag, strip))
                overlap = found[self._watching.layers[0]][1]
                if picture.sample in measured and not np.isnan(overlap):
                    overlaps.append(overlap)
        if overlaps:
            right = sum(overlap >= IOU for overlap in overlaps)
            self.trainer.monitors.put_scalar(GT_KNOWN, right / float(len(overlaps)))
        return len(overlaps)

    def _run(self, batch):
        """Layer -> (N, h, w); layers beyond the first only where something is drawn."""
        drawn = any(picture.tag is not None for picture in batch)
        layers = self._watching.layers if drawn else self._watching.layers[:1]
        fetches = {layer: self._tower.maps[layer] for layer in layers}
        # The networks of the recipe are trained on BGR.
        images = np.stack([picture.view.image[..., ::-1] for picture in batch])
        labels = [picture.sample.class_index for picture in batch]
        return self.trainer.sess.run(
            fetches, {self._tower.image: images, self._tower.label: labels}
        )


def _score_map(raw, size):
    """(size, size) in [0, 1]; zeros, in which there is no box, for a map that is not finite."""
    if not np.isfinite(raw).all():
        return np.zeros((size, size), np.float32)
    return resize_map(normalize(raw), size, size)


def _strip(view, score_maps, found):
    """The image with its true boxes, then a layer's overlay after the other with the predicted box too.

    Returns:
        uint8 RGB (S, W, 3), W = (1 + layers) S + gaps.
    """
    parts = [draw_boxes(view.image, truth=view.boxes)]
    for layer, score_map in score_maps.items():
        heat = overlay(view.image, score_map)
        parts.append(draw_boxes(heat, predicted=found[layer][0], truth=view.boxes))
    gap = np.full((view.image.shape[0], _GAP, 3), _WHITE, np.uint8)
    joined = [parts[0]]
    for part in parts[1:]:
        joined += [gap, part]
    return np.concatenate(joined, axis=1)


def _image_summary(tag, rgb):
    height, width = rgb.shape[:2]
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    summary = tf.Summary()
    value = summary.value.add(tag=tag)
    value.image.height, value.image.width, value.image.colorspace = height, width, 3
    value.image.encoded_image_string = encoded.tobytes()
    return summary
