#!/usr/bin/env python
"""Measure what `dgl label` writes: boxes, confidences and masks, and a detector trained on them.

    python benchmarks/labels.py boxes --labels OUT --data ilsvrc --split test --out record.json
    python benchmarks/labels.py masks --load probe --data birds --split test --out record.json
    python benchmarks/labels.py detector --labels BOXES MASKS --data cub20 --out record.json
    python benchmarks/labels.py calibrate --labels known_box=OUT predicted_box=OUT2 --data ilsvrc \
        --split val --source "..." --out dgl/labeling/calibration.json
    python benchmarks/labels.py speed --data cub20 --images 2000 --out record.json

``detector`` is described in `label_detector.py`.
"""

import argparse
import json
import os
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.label_detector import IOUS, interval, measure_detector
from dgl.data.annotations import read_mask
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import rgb_to_bgr, squash
from dgl.errors import run_script
from dgl.labeling import masks
from dgl.labeling.confidence import Calibration, fit, model_name, read_calibration
from dgl.labeling.labels import box_iou
from dgl.labeling.objects import ObjectOptions, find_regions, working_size
from dgl.labeling.store import read_header, read_images
from dgl.predict.grabcut import seeds_at, small_image
from dgl.predict.postprocess import parse_normalization, score_map
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of, ordered_map

_MASK_SIDE = 224


def true_boxes(args, split):
    """Path -> true boxes."""
    samples = load_data(args.data, split, layout=args.data_format).samples
    return {sample.path: sample.boxes for sample in samples}


def overlaps_of(labels_folder, boxes):
    """(image, object, IoU with the best true box) of each object of a store; 0 without an object."""
    root = read_header(labels_folder).data["path"]
    for labels in read_images(labels_folder):
        own = boxes.get(os.path.join(root, *labels.image.split("/")), ())
        if not own or labels.error is not None:
            continue
        for found in labels.objects or (None,):
            yield labels, found, max(box_iou(found.box, box) for box in own) if found else 0.0


def expected_calibration_error(confidence, is_right, bins=10):
    """The mean distance between confidence and accuracy over equal steps of confidence, by their weight."""
    confidence, is_right = np.asarray(confidence, float), np.asarray(is_right, float)
    step = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for one in set(step.tolist()):
        chosen = step == one
        total += chosen.mean() * abs(confidence[chosen].mean() - is_right[chosen].mean())
    return float(total)


def confidence_of(found, header):
    """The confidence of an object, by the coefficients that come along where it was labeled without."""
    if found.confidence is not None:
        return found.confidence
    options = header.options
    model = read_calibration().models.get(model_name(not options["predict"], options["masks"]))
    return model and model.confidence(found.features)


def measure_boxes(args):
    """Figures of each folder of labels."""
    rows = []
    for folder in args.labels:
        found = list(overlaps_of(folder, true_boxes(args, args.split)))
        overlap = np.array([one[2] for one in found])
        header = read_header(folder)
        row = {
            "options": dict(header.options),
            "network": dict(header.network),
            "objects": len(found),
        }
        for least in IOUS:
            row[f"iou_{least}"] = 100 * float((overlap >= least).mean())
            row[f"iou_{least}_interval"] = interval(overlap >= least)
        scored = [(confidence_of(o, header), v) for _, o, v in found if o is not None]
        scored = [one for one in scored if one[0] is not None]
        if scored:
            confidence, values = map(np.array, zip(*scored))
            is_right = values >= 0.5
            order = np.argsort(-confidence, kind="stable")
            half = len(order) // 2
            row["calibration"] = header.calibration.get("source", read_calibration().source)
            row["expected_calibration_error"] = expected_calibration_error(confidence, is_right)
            row["right_of_confident_half"] = 100 * float(is_right[order[:half]].mean())
            row["right_of_other_half"] = 100 * float(is_right[order[half:]].mean())
        rows.append(row)
        print(json.dumps({k: v for k, v in row.items() if k not in ("options", "network")}))
    return {"data": os.path.basename(args.data), "split": args.split, "rows": rows}


def calibrate(args):
    """Fit a calibration by labels of images with true boxes."""
    models, network = {}, {}
    for pair in args.labels:
        name, folder = pair.split("=")
        found = [
            one for one in overlaps_of(folder, true_boxes(args, args.split)) if one[1] is not None
        ]
        models[name] = fit([o.features for _, o, _ in found], [v >= 0.5 for _, _, v in found])
        network = read_header(folder).network
    kept = {key: network[key] for key in ("weights", "method", "layer", "flip")}
    return Calibration(args.source, kept, models).to_json()


def measure_masks(args):
    """IoU with the true masks of each map's largest region, before and after it is refined."""
    from dgl.weights.identify import default_weights

    row = _mask_row(args, *default_weights(None, args.load))
    return {"data": os.path.basename(args.data), "split": args.split, "rows": [row]}


def _mask_row(args, mode, load):
    from dgl.attribution.registry import localize_defaults
    from dgl.backbones import get_backbone
    from dgl.predict.predictor import Predictor

    defaults = localize_defaults(get_backbone(mode), "dgl")
    layer, threshold = args.layer or defaults.layer, args.threshold or defaults.threshold
    normalization = parse_normalization(args.normalize or defaults.normalize)
    samples = load_data(args.data, args.split, layout=args.data_format).samples[:: args.every]
    samples = [sample for sample in samples if sample.mask_paths]
    before, after = [], []
    with Predictor(mode, load, [layer], ["dgl"]) as predictor:
        for chunk in chunks_of(samples, 8):
            images = [read_image(sample.path) for sample in chunk]
            views = np.stack([squash(image, (), predictor.image_size)[0] for image in images])
            classes = None if args.predict else [sample.class_index for sample in chunk]
            (maps,) = predictor(rgb_to_bgr(views), classes).maps.values()
            jobs = list(zip(chunk, images, maps))

            def overlaps(job):
                sample, image, raw = job
                height, width = image.shape[:2]
                truth = read_mask(sample.mask_paths, None, _MASK_SIDE) == 1
                score = score_map(raw, *working_size(width, height)[::-1], normalization)
                regions = find_regions(score, ObjectOptions(threshold))
                if not regions:
                    return 0.0, 0.0
                none = np.zeros_like(regions[0].mask)
                small = small_image(image)
                refined = masks.refine(small, score, regions[0], none, seeds_at(threshold))
                region = masks.Mask(regions[0].mask, (0, 0, 1, 1))
                found = [masks.full_size(one, _MASK_SIDE, _MASK_SIDE) for one in (region, refined)]
                return [float((one & truth).sum() / max(1, (one | truth).sum())) for one in found]

            for one, two in ordered_map(overlaps, jobs):
                before.append(one)
                after.append(two)
    row = {
        "images": len(before), "mode": mode, "labels": "predicted" if args.predict else "known",
        "layer": layer, "threshold": threshold, "normalize": str(normalization),
        "before": 100 * float(np.mean(before)), "before_interval": interval(before),
        "after": 100 * float(np.mean(after)), "after_interval": interval(after),
        "gain_interval": interval(np.subtract(after, before)),
    }  # fmt: skip
    print(json.dumps(row))
    return row


def measure_speed(args):
    """The loop of the command between runs of the network's session alone: rates, processor time an image.

    Ratios are those of each turn to the sessions before and after it, and their medians. Where other work
    has the same cores, the processor times are the ones to compare.
    """
    from dgl.attribution.registry import localize_defaults
    from dgl.backbones import get_backbone
    from dgl.cli.parser import main as dgl
    from dgl.predict.predictor import Predictor
    from dgl.weights.identify import default_weights

    mode, load = default_weights(None, args.load)
    layer = localize_defaults(get_backbone(mode), "dgl").layer
    samples = load_data(args.data, args.split, layout=args.data_format).samples
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "data"))
        for number in range(args.images):
            sample = samples[number % len(samples)]
            suffix = os.path.splitext(sample.path)[1]
            os.symlink(sample.path, os.path.join(folder, "data", f"{number:05d}{suffix}"))
        session, command, seconds = [], [], {"session": [], "label": []}
        with Predictor(mode, load, [layer], ["dgl"]) as predictor:
            views = (
                np.random.RandomState(0)
                .randint(0, 256, (8, predictor.image_size, predictor.image_size, 3))
                .astype("uint8")
            )

            def measure_session():
                predictor(views)
                start, used = time.perf_counter(), time.process_time()
                for _ in range(args.images // 8):
                    predictor(views)
                session.append(args.images / (time.perf_counter() - start))
                seconds["session"].append((time.process_time() - used) / args.images)

            measure_session()
            for turn in range(args.turns):
                rate, used = _timed_label(dgl, folder, turn, load, args)
                command.append(rate)
                seconds["label"].append(used)
                measure_session()
    ratios = [own / around for own, around in zip(command, _means(session))]
    used = [around / own for around, own in zip(_means(seconds["session"]), seconds["label"])]
    record = {
        "data": os.path.basename(args.data), "images": args.images, "mode": mode, "masks": args.masks,
        "session_rate": float(np.median(session)), "label_rate": float(np.median(command)),
        "ratio": float(np.median(ratios)), "ratios": ratios,
        "processor_ms": {name: 1000 * float(np.median(own)) for name, own in seconds.items()},
        "processor_ratio": float(np.median(used)), "processor_ratios": used,
    }  # fmt: skip
    print(json.dumps(record))
    return record


def _means(values):
    """Of each two neighbors, so that a machine whose speed drifts is the same on both sides."""
    return [(one + other) / 2 for one, other in zip(values, values[1:])]


def _timed_label(dgl, folder, turn, load, args):
    """(rate, processor seconds an image) of the command's loop from its second batch on.

    The first run of a session prepares its kernels; the session's own rate is that of later runs too.
    """
    import dgl.cli.label_images as label_images

    run, measured = label_images.Labeler.run, []

    def timed(self, items, batch):
        batches = run(self, items, batch)
        first = next(batches)
        start, used = time.perf_counter(), time.process_time()
        yield first
        yield from batches
        count = len(items) - len(first)
        measured.append(count / (time.perf_counter() - start))
        measured.append((time.process_time() - used) / count)

    label_images.Labeler.run = timed
    try:
        out = os.path.join(folder, f"out{turn}")
        more = ["--masks"] if args.masks else []
        dgl(
            [
                "label",
                os.path.join(folder, "data"),
                "--out",
                out,
                "--load",
                load,
                "--format",
                "csv",
                *more,
            ]
        )
    finally:
        label_images.Labeler.run = run
    return measured


def make_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in (
        ("boxes", measure_boxes),
        ("masks", measure_masks),
        ("detector", measure_detector),
        ("calibrate", calibrate),
        ("speed", measure_speed),
    ):
        own = commands.add_parser(name, help=function.__doc__)
        own.set_defaults(function=function)
        own.add_argument("--data", required=True, help="data set with boxes or masks")
        own.add_argument("--data-format", help="its layout")
        own.add_argument("--split", default="test")
        own.add_argument("--out", required=True, help="record to write")
        if name in ("boxes", "detector", "calibrate"):
            own.add_argument("--labels", nargs="+", required=True, help="folders of `dgl label`")
        if name in ("masks", "speed"):
            own.add_argument(
                "--load", help="checkpoint (default: EfficientNet-Lite0's ImageNet weights)"
            )
        if name in ("masks", "detector"):
            own.add_argument("--layer", help="of the maps, or of the activations")
        if name == "masks":
            own.add_argument("--threshold", type=float)
            own.add_argument("--normalize")
            own.add_argument(
                "--predict", action="store_true", help="maps of the most probable class"
            )
            own.add_argument("--every", type=int, default=1, help="only every so many images")
        if name == "detector":
            own.add_argument("--mode", default="efficientnet_lite2", help="frozen network")
            own.add_argument("--features", help="folder to keep the activations in")
        if name == "calibrate":
            own.add_argument("--source", required=True, help="what it is made from, in words")
        if name == "speed":
            own.add_argument("--images", type=int, default=2000)
            own.add_argument("--turns", type=int, default=3)
            own.add_argument("--masks", action="store_true")
    return parser


def main(argv=None):
    """Measure, and write the record."""
    args = make_parser().parse_args(argv)
    record = args.function(args)
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    return 0


if __name__ == "__main__":
    run_script(main)
