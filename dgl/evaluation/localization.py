"""The batch evaluation: a localizer over a data set, by both protocols, with pictures and records.

Each protocol has its own geometry, so each has its own view of a picture and its own run of the network.
Maps are of the ground-truth class, which serves GT-known, Top-1 and Top-5 localization alike.
"""

import os
from collections import OrderedDict

import numpy as np
from tqdm import tqdm

from dgl import boxes as box_ops
from dgl.data.image_io import read_image
from dgl.data.views import GEOMETRIES
from dgl.errors import UserError
from dgl.evaluation.box_check import BoxCheck, fit_boxes
from dgl.evaluation.classification import ClassificationEvaluator, rank_labels
from dgl.evaluation.fixed_threshold import FixedThresholdEvaluator
from dgl.evaluation.max_box_acc import MaxBoxAccEvaluator
from dgl.parallel import ordered_map
from dgl.rendering.gallery import Entry, compose_tile
from dgl.rendering.overlay import write_image

PROTOCOLS = tuple(GEOMETRIES)
GALLERY = "gallery"


def entry_name(entry):
    """``method@layer``."""
    return "{}@{}".format(*entry)


class _Protocol(object):
    """One protocol's evaluators: a localization evaluator for each (method, layer)."""

    def __init__(self, name, localizer, classes, threshold, step):
        self.name = name
        self.geometry = GEOMETRIES[name]
        self.classification = ClassificationEvaluator(classes)
        if name == "fixed_threshold":
            make = lambda: FixedThresholdEvaluator(classes, threshold)  # noqa: E731
            self.settings = OrderedDict(threshold=threshold, iou=0.5)
        else:
            make = lambda: MaxBoxAccEvaluator(step)  # noqa: E731
            self.settings = OrderedDict(step=step)
        self.evaluators = OrderedDict((entry, make()) for entry in localizer.entries)

    def add(self, samples, views, prediction, maps, workers):
        """Count a batch; ``maps`` are normalised, one list an entry."""
        labels = np.asarray([sample.class_index for sample in samples])
        self.classification.add(prediction.logits, labels)
        boxes = [view.boxes for view in views]
        for entry, evaluator in self.evaluators.items():
            if self.name == "fixed_threshold":
                evaluator.add(
                    maps[entry],
                    boxes,
                    logits=prediction.logits,
                    labels=labels,
                    ids=[sample.id for sample in samples],
                    workers=workers,
                )
            else:
                evaluator.add(maps[entry], boxes, workers=workers)

    def result(self):
        rows = []
        for (method, layer), evaluator in self.evaluators.items():
            row = OrderedDict(method=method, layer=layer)
            figures = evaluator.result()
            row.update((k, v) for k, v in figures.items() if k not in ("protocol", "rows"))
            rows.append(row)
        return OrderedDict(self.settings, geometry=self.geometry.description, rows=rows)


def _score_maps(prediction, entries, views):
    """entry -> list of (map_size, map_size) maps in [0, 1]: min-max normalised, then resized."""
    return {
        entry: [
            box_ops.resize_map(box_ops.normalise(raw), view.map_size, view.map_size)
            for raw, view in zip(prediction.maps[entry], views)
        ]
        for entry in entries
    }


class Evaluation(object):
    """Runs a localizer over a data set and gathers what both protocols say.

    Args:
        localizer: :class:`~dgl.localizer.Localizer`, or anything called the same way.
        dataset: :class:`~dgl.data.sample.DataSet`.
        out: folder for the gallery's pictures.
        protocols: names out of :data:`PROTOCOLS`.
        threshold: of the fixed-threshold protocol.
        step: of MaxBoxAcc's thresholds.
        batch: pictures a run.
        gallery: number of pictures to draw, spread evenly over the data set.
        workers: threads that decode and that find boxes.
    """

    def __init__(
        self,
        localizer,
        dataset,
        out,
        protocols=PROTOCOLS,
        threshold=0.2,
        step=0.01,
        batch=32,
        gallery=24,
        workers=2,
    ):
        self._localizer = localizer
        self._dataset = dataset
        self._out = out
        self._batch = batch
        self._workers = workers
        if dataset.classes > localizer.classes:
            raise UserError(
                "{}: labels of {} classes, but the checkpoint has {}".format(
                    dataset.name, dataset.classes, localizer.classes
                )
            )
        if not any(sample.boxes for sample in dataset.samples):
            raise UserError(
                "{} {}: no picture has a box, expected boxes to measure localization".format(
                    dataset.name, dataset.split
                )
            )
        self._protocols = [
            _Protocol(name, localizer, localizer.classes, threshold, step) for name in protocols
        ]
        count = len(dataset.samples)
        chosen = np.linspace(0, count - 1, min(gallery, count)).round().astype(int)
        self._drawn = set(chosen.tolist())
        self._box_check = BoxCheck()
        self.gallery = []
        self.rows = []

    def run(self, progress=True):
        """Go through the data set once.

        Returns:
            dict: ``classification`` (errors in percent), ``protocols``, ``boxes_clipped`` (true
            boxes that reached over their picture) and ``boxes_outside`` (those wholly outside, which
            do not count), as ``metrics.json`` holds them. :attr:`rows` then has a record an image
            and :attr:`gallery` one a drawn picture.

        Raises:
            UserError: a picture cannot be read, or no picture has a box.
        """
        samples = self._dataset.samples
        os.makedirs(os.path.join(self._out, GALLERY), exist_ok=True)
        with tqdm(
            total=len(samples), unit=" images", desc="evaluation", disable=not progress
        ) as bar:
            start = 0
            for batch in self._batches():
                self._add(start, *batch)
                start += len(batch[0])
                bar.update(len(batch[0]))
        self._box_check.log(self._dataset.name)
        return OrderedDict(
            classification=self._errors(),
            protocols=OrderedDict((p.name, p.result()) for p in self._protocols),
            boxes_clipped=self._box_check.clipped,
            boxes_outside=self._box_check.outside,
        )

    def _errors(self):
        errors = self._protocols[0].classification.result()
        return {key: errors[key] for key in ("top1_error", "top5_error") if key in errors}

    def _load(self, sample):
        """The picture's view of each protocol, and how its boxes fit it."""
        image = read_image(sample.path)
        fit = fit_boxes(sample.boxes, image)
        size = self._localizer.image_size
        return [p.geometry.view(image, fit.boxes, size) for p in self._protocols], fit

    def _batches(self):
        samples, views = [], []
        loaded = ordered_map(self._load, self._dataset.samples, self._workers)
        for sample, (own, fit) in zip(self._dataset.samples, loaded):
            self._box_check.add(sample, fit)
            samples.append(sample)
            views.append(own)
            if len(samples) == self._batch:
                yield samples, views
                samples, views = [], []
        if samples:
            yield samples, views

    def _add(self, start, samples, views):
        labels = np.asarray([sample.class_index for sample in samples])
        for position, protocol in enumerate(self._protocols):
            own = [view[position] for view in views]
            # The networks of the recipe were trained on BGR.
            images = np.stack([view.image[..., ::-1] for view in own])
            prediction = self._localizer(images, labels)
            maps = _score_maps(prediction, self._localizer.entries, own)
            protocol.add(samples, own, prediction, maps, self._workers)
            if position == 0:
                self._record(samples, prediction)
                self._draw(start, samples, own, maps, protocol)

    def _record(self, samples, prediction):
        labels = [sample.class_index for sample in samples]
        predicted = prediction.logits.argmax(axis=1)
        ranks = rank_labels(prediction.logits, labels)
        for sample, probability, best, rank in zip(
            samples, prediction.probability, predicted, ranks
        ):
            self.rows.append(
                OrderedDict(
                    id=sample.id,
                    class_index=sample.class_index,
                    class_name=self._dataset.class_name(sample.class_index),
                    predicted_index=int(best),
                    predicted_name=self._dataset.class_name(int(best)),
                    probability=float(probability[best]),
                    class_probability=float(probability[sample.class_index]),
                    rank=int(rank) + 1,
                )
            )

    def image_rows(self):
        """One flat record an image: the prediction, then box, IoU and verdict of every entry."""
        rows = [OrderedDict(row) for row in self.rows]
        for protocol in self._protocols:
            if protocol.name != "fixed_threshold":
                continue
            for entry, evaluator in protocol.evaluators.items():
                for row, found in zip(rows, evaluator.result()["rows"]):
                    for key in ("x0", "y0", "x1", "y1", "iou", "gt_known"):
                        row["{}:{}".format(entry_name(entry), key)] = found[key]
        return rows

    def _draw(self, start, samples, views, maps, protocol):
        threshold = protocol.settings.get("threshold", 0.2)
        for offset, (sample, view) in enumerate(zip(samples, views)):
            if start + offset not in self._drawn:
                continue
            ratio = view.map_size / float(view.image.shape[0])
            truth = np.asarray(view.boxes, float) / ratio
            entries, ious = [], OrderedDict()
            for entry in self._localizer.entries:
                score_map = maps[entry][offset]
                box = box_ops.largest_box(score_map, threshold)
                overlaps = box_ops.iou(box, view.boxes) if len(view.boxes) else np.zeros((1, 0))
                best = float(overlaps.max()) if overlaps.size else None
                ious[entry_name(entry)] = best
                entries.append(Entry(entry_name(entry), score_map, box / ratio, best))
            name = "{}/{:06d}.jpg".format(GALLERY, start + offset)
            write_image(os.path.join(self._out, name), compose_tile(view.image, truth, entries))
            row = self.rows[start + offset]
            self.gallery.append(
                {
                    "file": name,
                    "id": sample.id,
                    "true_class": row["class_name"],
                    "predicted_class": row["predicted_name"],
                    "probability": row["probability"],
                    "correct": row["rank"] == 1,
                    "ious": ious,
                }
            )
