#!/usr/bin/env python
"""Measure what `dgl label` writes: boxes, confidences and masks, and a detector trained on them.

    python benchmarks/labels.py boxes --labels OUT --data ilsvrc --split test --out record.json
    python benchmarks/labels.py masks --load probe --data birds --split test --out record.json
    python benchmarks/labels.py detector --labels BOXES MASKS --data cub20 --out record.json
    python benchmarks/labels.py calibrate --labels known_box=OUT predicted_box=OUT2 --data ilsvrc \
        --split val --source "..." --out dgl/labeling/calibration.json
    python benchmarks/labels.py speed --data cub20 --images 2000 --out record.json

``detector`` trains a regressor of boxes, without classes, on a frozen EfficientNet-Lite's activations: once
on the boxes of each OUT, which has the labels of DATA's training images, and once on the true boxes.
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
from dgl.predict.grabcut import seeds_at
from dgl.predict.normalize import parse_normalization, score_map
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of, ordered_map

IOUS = (0.5, 0.7)
_MASK_SIDE = 224
RESAMPLES = 1000
# The regressor: principal components, penalty, and how much it prefers the places that are surely inside.
_COMPONENTS, _RIDGE, _SHARPNESS = 64, 100.0, 6.0


def interval(values, resamples=RESAMPLES):
    """The 95 % interval of a mean, in percent, by bootstrap over images."""
    values = np.asarray(values, float)
    picks = np.random.RandomState(0).randint(0, len(values), (resamples, len(values)))
    return [float(end) for end in np.percentile(100 * values[picks].mean(axis=1), (2.5, 97.5))]


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

    rows = [_mask_row(args, *default_weights(None, load)) for load in args.load]
    return {"data": os.path.basename(args.data), "split": args.split, "rows": rows}


def _mask_row(args, mode, load):
    from dgl.attribution.registry import localize_defaults
    from dgl.backbones import get_backbone
    from dgl.predict.predictor import Predictor

    defaults = localize_defaults(get_backbone(mode), "dgl")
    layer, threshold = args.layer or defaults.layer, args.threshold or defaults.threshold
    how = parse_normalization(args.normalize or defaults.normalize)
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
                score = score_map(raw, *working_size(width, height)[::-1], how)
                regions = find_regions(score, ObjectOptions(threshold))
                if not regions:
                    return 0.0, 0.0
                none = np.zeros_like(regions[0].mask)
                small = masks.small_image(image)
                refined = masks.refine(small, score, regions[0], none, seeds_at(threshold))
                region = masks.Mask(regions[0].mask, (0, 0, 1, 1))
                found = [masks.full_size(one, _MASK_SIDE, _MASK_SIDE) for one in (region, refined)]
                return [float((one & truth).sum() / max(1, (one | truth).sum())) for one in found]

            for one, two in ordered_map(overlaps, jobs):
                before.append(one)
                after.append(two)
    row = {
        "images": len(before), "mode": mode, "labels": "predicted" if args.predict else "known",
        "layer": layer, "threshold": threshold, "normalize": str(how),
        "before": 100 * float(np.mean(before)), "before_interval": interval(before),
        "after": 100 * float(np.mean(after)), "after_interval": interval(after),
        "gain_interval": interval(np.subtract(after, before)),
    }  # fmt: skip
    print(json.dumps(row))
    return row


def activations(args, paths):
    """(N, h, w, C) float32 activations of a frozen network, and those of the mirrored images."""
    from dgl.backbones import BuildOptions, get_backbone
    from dgl.predict.frozen import build_inference
    from dgl.tf_compat import tf
    from dgl.weights import open_weights, options_from

    backbone = get_backbone(args.mode)
    checkpoint = open_weights(backbone, args.mode)
    options = options_from(backbone, checkpoint)
    assert isinstance(options, BuildOptions)
    size = backbone.image_size
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.uint8, [None, size, size, 3])
        network = build_inference(backbone, checkpoint, fed, options, 0)
        layer = network.endpoints[backbone.layer_name(args.layer or 1)]
        with tf.Session() as session:
            found = []
            for chunk in chunks_of(paths, 8):
                views = list(ordered_map(lambda path: squash(read_image(path), (), size)[0], chunk))
                images = rgb_to_bgr(np.stack(views))
                own = [session.run(layer, {fed: one}) for one in (images, images[:, :, ::-1])]
                found.append(own)
    return [np.concatenate(parts) for parts in zip(*found)]


def fractions_of(box, size):
    """Box in pixels -> (x0, y0, x1, y1) as fractions of the image."""
    return np.asarray(box, float) / np.tile(size, 2)


def mirrored(boxes):
    """Boxes in fractions, mirrored left to right."""
    return np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)


class Regressor:
    """Boxes from activations by linear models of each place: is it in the box, and how far are the sides?

    A place is described by principal components of its channels and of its eight neighbors'. The box of an
    image is the mean of the boxes of its places, weighted by how much each is inside.
    """

    def __init__(self, maps, boxes):
        from sklearn.decomposition import PCA
        from sklearn.linear_model import Ridge

        pixels = np.concatenate([one.reshape(-1, one.shape[-1]) for one in maps])
        picked = np.random.RandomState(0).permutation(len(pixels))[:20000]
        self._pca = PCA(min(_COMPONENTS, pixels.shape[1]), random_state=0).fit(pixels[picked])
        self._scale = float(self._pca.transform(pixels[picked]).std())
        places = np.concatenate([self._places(one) for one in maps])
        sides = np.concatenate([_sides(one, maps[0].shape) for one in (boxes, mirrored(boxes))])
        inside = sides.min(axis=-1) > 0
        self._inside = Ridge(_RIDGE).fit(places.reshape(-1, places.shape[-1]), inside.ravel())
        self._sides = Ridge(_RIDGE).fit(places[inside], sides[inside])

    def _places(self, maps):
        count, height, width, channels = maps.shape
        parts = self._pca.transform(maps.reshape(-1, channels)) / self._scale
        parts = np.pad(
            parts.reshape(count, height, width, -1).astype(np.float32),
            ((0, 0), (1, 1), (1, 1), (0, 0)),
        )
        around = [(row, column) for row in range(3) for column in range(3)]
        return np.concatenate([parts[:, y : y + height, x : x + width] for y, x in around], axis=-1)

    def __call__(self, maps):
        """(N, 4) boxes in fractions; of an image and its mirror image the mean."""
        found = []
        for side, one in enumerate(maps):
            places = self._places(one)
            flat = places.reshape(-1, places.shape[-1])
            weights = self._inside.predict(flat).reshape(one.shape[:3])
            weights = np.exp(_SHARPNESS * (weights - weights.max(axis=(1, 2), keepdims=True)))
            weights /= weights.sum(axis=(1, 2), keepdims=True)
            sides = self._sides.predict(flat).reshape((*one.shape[:3], 4))
            boxes = _centers(one.shape) + sides * (-1, -1, 1, 1)
            boxes = (boxes * weights[..., np.newaxis]).sum(axis=(1, 2))
            found.append(mirrored(boxes) if side else boxes)
        return np.clip(np.mean(found, axis=0), 0, 1)


def _centers(shape):
    """(h, w, 4) of (x, y, x, y): the centers of the places as fractions of the image."""
    y, x = [(np.arange(side) + 0.5) / side for side in shape[1:3]]
    x, y = np.meshgrid(x, y)
    return np.stack([x, y, x, y], axis=-1)


def _sides(boxes, shape):
    """(N, h, w, 4): distances of each place from the four sides of its image's box, negative outside."""
    return (boxes[:, np.newaxis, np.newaxis] - _centers(shape)) * (-1, -1, 1, 1)


def measure_detector(args):
    """A regressor trained on the boxes of each folder, and on the true ones, on the test images."""
    train = [s for s in load_data(args.data, "train").samples if s.boxes]
    test = [s for s in load_data(args.data, "test").samples if s.boxes]
    cache = args.features and os.path.join(args.features, f"{args.mode}_{args.layer or 1}.npz")
    if cache and os.path.exists(cache):
        stored = np.load(cache)
        maps, test_maps = ([stored[f"{split}{i}"] for i in (0, 1)] for split in ("train", "test"))
    else:
        maps = activations(args, [one.path for one in train])
        test_maps = activations(args, [one.path for one in test])
        if cache:
            named = {f"train{i}": one for i, one in enumerate(maps)}
            np.savez(cache, **named, **{f"test{i}": one for i, one in enumerate(test_maps)})
    sizes = {one.path: np.array(read_image(one.path).shape[1::-1]) for one in train + test}
    truths = {one.path: one.boxes[0] for one in train}
    sources = {"true boxes": truths}
    for folder in args.labels:
        root, own = read_header(folder).data["path"], {}
        for labels in read_images(folder):
            if labels.objects:
                own[os.path.join(root, *labels.image.split("/"))] = labels.objects[0].box
        sources["masks" if read_header(folder).options["masks"] else "boxes"] = own
    rows, found = [], {}
    for name, own in sources.items():
        rows_of = [i for i, one in enumerate(train) if one.path in own]
        boxes = np.stack([fractions_of(own[train[i].path], sizes[train[i].path]) for i in rows_of])
        regress = Regressor([one[rows_of] for one in maps], boxes)
        predicted = regress(test_maps)
        found[name] = np.array([
            max(box_iou(box * np.tile(sizes[one.path], 2), true) for true in one.boxes)
            for box, one in zip(predicted, test)
        ])  # fmt: skip
        labels_iou = [box_iou(own[train[i].path], truths[train[i].path]) >= 0.5 for i in rows_of]
        row = {
            "trained_on": name,
            "images": len(rows_of),
            "labels_right": 100 * float(np.mean(labels_iou)),
        }
        for least in IOUS:
            row[f"iou_{least}"] = 100 * float((found[name] >= least).mean())
            row[f"iou_{least}_interval"] = interval(found[name] >= least)
        row["mean_iou"] = 100 * float(found[name].mean())
        rows.append(row)
        print(json.dumps(row))
    full = found["true boxes"]
    for row in rows:
        own = found[row["trained_on"]]
        picks = np.random.RandomState(0).randint(0, len(full), (RESAMPLES, len(full)))
        ratio = (own[picks] >= 0.5).mean(axis=1) / (full[picks] >= 0.5).mean(axis=1)
        row["of_full_supervision"] = 100 * float((own >= 0.5).mean() / (full >= 0.5).mean())
        row["of_full_supervision_interval"] = [
            float(100 * e) for e in np.percentile(ratio, (2.5, 97.5))
        ]
    return {
        "data": os.path.basename(args.data),
        "test_images": len(test),
        "mode": args.mode,
        "rows": rows,
    }


def measure_speed(args):
    """The network's session alone and the loop of the command, in turn: rates, and processor time an image.

    Where other work has the same cores, the processor times are the ones to compare.
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
            for turn in range(args.turns):
                predictor(views)
                start, used = time.perf_counter(), time.process_time()
                for _ in range(args.images // 8):
                    predictor(views)
                session.append(args.images / (time.perf_counter() - start))
                seconds["session"].append((time.process_time() - used) / args.images)
                rate, used = _timed_label(dgl, folder, turn, load, args)
                command.append(rate)
                seconds["label"].append(used)
    record = {
        "data": os.path.basename(args.data), "images": args.images, "mode": mode, "masks": args.masks,
        "session_rate": max(session), "label_rate": max(command),
        "ratio": max(command) / max(session),
        "ratios": [one / other for one, other in zip(command, session)],
        "processor_ms": {name: 1000 * min(own) for name, own in seconds.items()},
        "processor_ratio": min(seconds["session"]) / min(seconds["label"]),
    }  # fmt: skip
    print(json.dumps(record))
    return record


def _timed_label(dgl, folder, turn, load, args):
    """(rate, processor seconds an image) of the command's loop, without the start of the network."""
    import dgl.cli.label_images as label_images

    run, measured = label_images.Labeler.run, []

    def timed(self, items, batch):
        start, used = time.perf_counter(), time.process_time()
        yield from run(self, items, batch)
        measured.append(len(items) / (time.perf_counter() - start))
        measured.append((time.process_time() - used) / len(items))

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
