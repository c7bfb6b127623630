"""Run `dgl label`: open the network, list the images, estimate confidences and write the labels."""

import json
import math
import os
import shutil
import sys
from argparse import Namespace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import cv2
from tqdm import tqdm

from dgl import __version__
from dgl.cli.localize_images import make_predictor
from dgl.data.class_names import ClassNames
from dgl.data.layouts import load_data
from dgl.errors import UserError, first_few, printable
from dgl.evaluation.layer_fusion import Fusion, make_fusions
from dgl.labeling.confidence import (
    IOU,
    SHIPPED,
    Calibration,
    Model,
    fit,
    model_name,
    read_calibration,
)
from dgl.labeling.inputs import Inputs, find_data, make_inputs
from dgl.labeling.labeler import Labeler, LabelOptions
from dgl.labeling.labels import box_iou
from dgl.labeling.objects import ObjectOptions
from dgl.labeling.store import Header, LabelStore, check_same_run, is_store, read_header
from dgl.predict.normalize import parse_normalization
from dgl.predict.predictor import Predictor
from dgl.utils.files import weights_fingerprint, write_atomically

CALIBRATION = "calibration.json"
MASKS = "masks"


def label(args: Namespace) -> Sequence[str]:
    """Label the images of ``args.data``; returns the wrong lines of its lists, which were left out."""
    dataset = find_data(args.data, args.split, args.dataname, args.data_format)
    with make_predictor(args, with_pair=False) as predictor:
        cv2.setNumThreads(1)  # several images are worked on at once
        names = ClassNames.of(predictor.class_names, predictor.classes)
        inputs = make_inputs(args.data, dataset, names, args.predict, args.limit)
        if inputs.unmatched:
            _say(
                f"the network does not know {len(inputs.unmatched)} of {len(inputs.classes)} classes "
                f"({first_few(inputs.unmatched, 3)}); their maps are those of its most probable class"
            )
        run = _Run(args, predictor, inputs)
        run.check()
        run.label(*run.calibration())
    return () if dataset is None else dataset.skipped


def _say(text: str) -> None:
    tqdm.write(printable(text), file=sys.stderr)


class _Run:
    """What the steps of one run share."""

    def __init__(self, args: Namespace, predictor: Predictor, inputs: Inputs):
        self._args = args
        self._predictor = predictor
        self._inputs = inputs
        self._fusions: List[Fusion] = []
        if args.fuse:
            self._fusions = make_fusions(predictor.entries, [args.fuse])
        self._options = LabelOptions(
            ObjectOptions(
                args.threshold, args.objects, args.min_area, args.max_objects, args.split_touching
            ),
            args.masks,
            args.top,
            args.min_probability,
            parse_normalization(args.normalize),
        )
        method, entry_layer = self._fusions[0].entry if self._fusions else predictor.entries[0]
        self._network: Dict[str, Any] = {
            "mode": predictor.backbone.mode,
            "checkpoint": os.path.basename(predictor.path),
            "weights": weights_fingerprint(predictor.path),
            "head": predictor.options.head,
            "image_size": predictor.image_size,
            "method": method,
            "layer": entry_layer,
            # JSON has no infinity.
            "alpha": args.pa if math.isfinite(args.pa) else "inf",
            "flip": args.flip,
            "precision": args.precision,
        }
        names = "threshold normalize objects min_area max_objects split_touching masks predict top"
        names += " min_probability batch"
        self._flags: Dict[str, Any] = {name: getattr(args, name) for name in names.split()}
        self._flags["normalize"] = str(parse_normalization(args.normalize))
        is_known = all(item.target is not None for item in inputs.items)
        self._model_name = model_name(is_known, args.masks)

    def label(self, model: Optional[Model], calibration: Dict[str, str]) -> None:
        """Fill the store."""
        args, inputs = self._args, self._inputs
        header = self._header(calibration)
        if args.restart:
            shutil.rmtree(os.path.join(args.out, MASKS), ignore_errors=True)
        with LabelStore(args.out, header, args.restart) as store:
            images = [item.image for item in inputs.items]
            done = store.resume(images, args.batch)
            if done:
                _say(f"resuming: {done} of {len(images)} images are done")
            folder = os.path.join(args.out, MASKS) if args.masks else None
            labeler = self._labeler(inputs, model, folder)
            with tqdm(total=len(images), initial=done, unit=" images", desc="label") as bar:
                for batch in labeler.run(inputs.items[done:], args.batch):
                    store.append(batch)
                    for labels in batch:
                        if labels.error is not None:
                            _say(f"skipped: {labels.error}")
                    bar.update(len(batch))

    def check(self) -> None:
        """Refuse the labels of another run before anything is computed."""
        if is_store(self._args.out) and not self._args.restart:
            stored = read_header(self._args.out)
            check_same_run(self._args.out, stored, self._header(stored.calibration))

    def _header(self, calibration: Mapping[str, Any]) -> Header:
        inputs = self._inputs
        return Header(
            __version__, inputs.summary(), self._network, self._flags, inputs.classes, calibration
        )

    def calibration(self) -> Tuple[Optional[Model], Dict[str, str]]:
        """The model of the confidences, and what the header says of it."""
        if self._args.calibrate is None:
            if not os.path.isfile(SHIPPED):
                return None, {}
            shipped = read_calibration()
            summary = shipped.summary()
            if any(shipped.network[key] != self._network[key] for key in shipped.network):
                summary["source"] += ", not of this network; --calibrate DATA fits one that is"
        else:
            shipped = self._fitted()
            summary = shipped.summary()
        model = shipped.models.get(self._model_name)
        return model, summary if model is not None else {}

    def _fitted(self) -> Calibration:
        """The calibration on ``--calibrate``, which an interrupted run has left in ``--out``."""
        args = self._args
        dataset = load_data(args.calibrate, args.calibrate_split)
        boxes: Dict[str, Any] = {}
        for sample in dataset.samples:
            if sample.boxes:
                # An image with several classes is labeled with the first one, which comes first here too.
                boxes.setdefault(sample.path, sample.boxes)
        if not boxes:
            raise UserError(
                f"--calibrate {args.calibrate}: no image has a box; expected true boxes"
            )
        names = ClassNames.of(self._predictor.class_names, self._predictor.classes)
        inputs = make_inputs(
            args.calibrate, dataset, names, self._model_name.startswith("predicted")
        )
        items = [item for item in inputs.items if item.path in boxes]
        request = {**self._network, **self._flags, **inputs.summary(), "version": __version__}
        path = os.path.join(args.out, CALIBRATION)
        if os.path.isfile(path):
            stored = read_calibration(path)
            if dict(stored.network) == json.loads(json.dumps(request)):
                return stored
        labeler = self._labeler(inputs, None, None)
        features: List[Any] = []
        is_right: List[bool] = []
        with tqdm(total=len(items), unit=" images", desc="calibrate") as bar:
            for batch in labeler.run(items, args.batch):
                for item, labels in zip(items[bar.n :], batch):
                    for found in labels.objects:
                        features.append(found.features)
                        overlaps = [box_iou(found.box, box) for box in boxes[item.path]]
                        is_right.append(max(overlaps) >= IOU)
                bar.update(len(batch))
        source = f"{len(items)} images of {dataset.name} {dataset.split}"
        models = {self._model_name: fit(features, is_right)}
        calibration = Calibration(source, request, models)
        text = json.dumps(calibration.to_json(), indent=1) + "\n"
        write_atomically(path, text.encode("utf-8"))
        return calibration

    def _labeler(self, inputs: Inputs, model: Optional[Model], folder: Optional[str]) -> Labeler:
        return Labeler(
            self._predictor,
            self._options,
            inputs.classes,
            self._fusions,
            model,
            folder,
            self._args.workers,
        )
