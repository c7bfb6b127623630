"""Run `dgl label`: open the network, list the images, estimate confidences and write the labels."""

import json
import os
import shutil
import sys
from argparse import Namespace
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import cv2
from tqdm import tqdm

from dgl import __version__
from dgl.cli.localize_images import make_predictor
from dgl.data.layouts import load_data
from dgl.errors import UserError, first_few, printable
from dgl.evaluation.layer_fusion import make_fusions
from dgl.labeling.confidence import IOU, Calibration, Model, fit, model_name, read_calibration
from dgl.labeling.inputs import Inputs, find_data, make_inputs
from dgl.labeling.labeler import Labeler, LabelOptions
from dgl.labeling.labels import box_iou
from dgl.labeling.objects import ObjectOptions
from dgl.labeling.store import Header, LabelStore, check_same_run, is_store, read_header
from dgl.predict.postprocess import parse_normalization
from dgl.predict.predictor import Predictor
from dgl.report.localize_files import json_number
from dgl.utils.files import weights_fingerprint, write_json

CALIBRATION = "calibration.json"
MASKS = "masks"


def label(args: Namespace) -> Sequence[str]:
    """Label the images of ``args.data``; returns the wrong lines of its lists, which were left out."""
    dataset = find_data(args.data, args.split, args.dataname, args.data_format)
    with make_predictor(args, with_pair=False) as predictor:
        cv2.setNumThreads(1)  # several images are worked on at once
        inputs = make_inputs(args.data, dataset, predictor.class_names, args.predict, args.limit)
        if inputs.unmatched:
            _say(
                f"the network does not know {len(inputs.unmatched)} of {len(inputs.classes)} classes "
                f"({first_few(inputs.unmatched, 3)}); their maps are those of its most probable class"
            )
        _Run(args, predictor, inputs).label()
    return () if dataset is None else dataset.skipped


def _say(text: str) -> None:
    tqdm.write(printable(text), file=sys.stderr)


class _Run:
    """What the steps of one run share."""

    def __init__(self, args: Namespace, predictor: Predictor, inputs: Inputs):
        self._args = args
        self._inputs = inputs
        fusions = make_fusions(predictor.entries, [args.fuse] if args.fuse else [])
        normalization = parse_normalization(args.normalize)
        objects = ObjectOptions(
            args.threshold, args.objects, args.min_area, args.max_objects, args.split_touching
        )
        options = LabelOptions(objects, args.masks, args.top, args.min_probability, normalization)
        self._labeler = Labeler(predictor, options, inputs.classes, fusions, workers=args.workers)
        method, layer = fusions[0].entry if fusions else predictor.entries[0]
        self._network: Dict[str, Any] = {
            "mode": predictor.backbone.mode,
            "checkpoint": os.path.basename(predictor.path),
            "weights": weights_fingerprint(predictor.path),
            "head": predictor.options.head,
            "image_size": predictor.image_size,
            "method": method,
            "layer": layer,
            "alpha": json_number(args.pa),
            "flip": args.flip,
            "precision": args.precision,
        }
        names = "threshold normalize objects min_area max_objects split_touching masks predict top"
        names += " min_probability batch"
        self._flags: Dict[str, Any] = {name: getattr(args, name) for name in names.split()}
        self._flags["normalize"] = str(normalization)
        is_known = all(item.target is not None for item in inputs.items)
        self._model_name = model_name(is_known, args.masks)

    def label(self) -> None:
        """Fill the store; labels of another run are refused before anything is computed."""
        args, items = self._args, self._inputs.items
        if is_store(args.out) and not args.restart:
            stored = read_header(args.out)
            check_same_run(args.out, stored, self._header(stored.calibration))
        model, calibration = self._calibration()
        folder = os.path.join(args.out, MASKS)
        if args.restart:
            shutil.rmtree(folder, ignore_errors=True)
        labeler = replace(self._labeler, model=model, masks_folder=folder if args.masks else None)
        with LabelStore(args.out, self._header(calibration), args.restart) as store:
            done = store.resume([item.image for item in items], args.batch)
            if done:
                _say(f"resuming: {done} of {len(items)} images are done")
            with tqdm(total=len(items), initial=done, unit=" images", desc="label") as bar:
                for batch in labeler.run(items[done:], args.batch):
                    store.append(batch)
                    for labels in batch:
                        if labels.error is not None:
                            _say(f"skipped: {labels.error}")
                    bar.update(len(batch))

    def _header(self, calibration: Mapping[str, Any]) -> Header:
        inputs = self._inputs
        return Header(
            __version__, inputs.summary(), self._network, self._flags, inputs.classes, calibration
        )

    def _calibration(self) -> Tuple[Optional[Model], Dict[str, str]]:
        """The model of the confidences, and what the header says of it."""
        is_shipped = self._args.calibrate is None
        found = read_calibration() if is_shipped else self._fitted()
        summary = found.summary()
        if is_shipped and any(self._network[key] != value for key, value in found.network.items()):
            summary["source"] += ", not of this network; --calibrate DATA fits one that is"
        model = found.models.get(self._model_name)
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
        names = self._labeler.predictor.class_names
        is_predicted = self._model_name.startswith("predicted")
        inputs = make_inputs(args.calibrate, dataset, names, is_predicted)
        items = [item for item in inputs.items if item.path in boxes]
        request = {**self._network, **self._flags, **inputs.summary(), "version": __version__}
        path = os.path.join(args.out, CALIBRATION)
        if os.path.isfile(path):
            stored = read_calibration(path)
            if dict(stored.network) == json.loads(json.dumps(request)):
                return stored
        labeler = replace(self._labeler, classes=inputs.classes)
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
        write_json(path, calibration.to_json())
        return calibration
