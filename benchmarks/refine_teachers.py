#!/usr/bin/env python
"""Compare teachers of `dgl refine`: boxes of each method's maps beside those of the head that they taught.

Each checkpoint is one seed. A method teaches with the maps of the layer whose boxes are best on every fifth
training image, and GrabCut starts from them at the multiple of the best threshold there whose pupil, taught
by a half of the other images of the first seed, has the best boxes on these. Activations are computed once
for all teachers, and what is in `--work` already is not computed again.

    python benchmarks/refine_teachers.py --load lite2_s1 lite2_s2 lite2_s3 --data cub20 --work teachers \
        --layers block10 block14 block17 --out benchmarks/results/teachers_lite2.json
"""

import hashlib
import json
import os
import sys

import cv2
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.refine import FIGURE, parser_of, row
from benchmarks.replicates import Replicates
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import GEOMETRIES, rgb_to_bgr
from dgl.errors import run_script
from dgl.evaluation.plan import WSOL
from dgl.metrics.bootstrap import compare
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.predict.grabcut import pseudo_mask, seeds_at, small_image
from dgl.predict.postprocess import score_map
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of, ordered_map
from dgl.weights.identify import mode_for

TEACHERS = (
    "center", "cam", "gradcam++", "layercam", "eigencam", "hirescam", "dgl", "normgrad", "normgrad-local",
)  # fmt: skip
_EVERY = 5  # part of the training images whose boxes are looked at
_MULTIPLES = (1, 2, 4)
_MOST = 0.6
_BATCH = 8


class Split:
    """Images of a split as the network sees them, with their boxes in the protocol's map."""

    def __init__(self, samples, size):
        views = list(
            ordered_map(
                lambda one: GEOMETRIES[WSOL].view(read_image(one.path), one.boxes, size), samples
            )
        )
        self.images = np.stack([view.image for view in views])
        self.boxes = [view.boxes for view in views]
        self.side = views[0].map_size
        self.ids = [one.id for one in samples]
        self.classes = [one.class_index for one in samples]

    def measure(self, maps, threshold=None, every=1):
        """Evaluator of the raw maps of every so many images."""
        evaluator = MaxBoxAccEvaluator(operating_threshold=threshold)
        scores = [score_map(one, self.side, self.side) for one in maps]
        evaluator.add(scores, self.boxes[::every], self.ids[::every], workers=2)
        return evaluator


def kept(path, compute, *arguments):
    """Name -> array of a file, which is computed and written where it is not there."""
    if not os.path.exists(path):
        found = compute(*arguments)
        np.savez(path + ".part.npz", **found)
        os.replace(path + ".part.npz", path)
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def in_batches(run, split):
    """Name -> array over all images, from a function of BGR images and classes."""
    found = []
    for places in chunks_of(range(len(split.images)), _BATCH):
        classes = [split.classes[place] for place in places]
        found.append(run(rgb_to_bgr(split.images[places[0] : places[-1] + 1]), classes))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def activations_of(load, split):
    """Layer -> float16 activations that a head reads."""
    from dgl.backbones import get_backbone
    from dgl.training.pseudo_masks import FrozenTeacher
    from dgl.weights import open_weights, options_from, read_card

    backbone = get_backbone(mode_for(load))
    checkpoint = open_weights(backbone, load)
    options = options_from(backbone, checkpoint, card=read_card(checkpoint.path))
    graph = FrozenTeacher(backbone, checkpoint, options, split.images.shape[1], "center")

    def run(images, classes):
        return {name: value.astype(np.float16) for name, value in graph(images, classes)[0].items()}

    with graph.session:
        return in_batches(run, split)


def selected(train, maps, method):
    """(entry, threshold) of a method's best layer for the boxes of a part of the training images."""
    found = {
        entry: train.measure(values[::_EVERY], every=_EVERY).result()
        for entry, values in maps.items()
        if entry.split("@")[0] == method
    }
    entry = max(found, key=lambda one: found[one][FIGURE])
    return entry, found[entry]["best_threshold"]


def masks_of(train, maps, threshold, shape, places=None):
    """``masks``: (N, h, w) float32, the part of each place that is the object; negative without a mask."""
    seeds = seeds_at(threshold)
    picked = set(range(len(maps)) if places is None else places)

    def one(job):
        place, image, raw = job
        mask = pseudo_mask(small_image(image), raw, seeds) if place in picked else None
        if mask is None:
            return np.full(shape, -1, np.float32)
        return cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)

    return {
        "masks": np.stack(list(ordered_map(one, list(zip(range(len(maps)), train.images, maps)))))
    }


def taught(activations, masks, seed):
    """Variable name -> weights of a head, which learns from the images that have a mask."""
    from dgl.training.pseudo_masks import Lessons
    from dgl.training.refine import teach

    chosen = np.flatnonzero(masks.min(axis=(1, 2)) >= 0)
    return teach(Lessons({k: v[chosen] for k, v in activations.items()}, masks[chosen]), seed)


def foreground(activations, weights):
    """(N, h, w) probabilities of a head."""
    from dgl.backbones.foreground import foreground_logits
    from dgl.tf_compat import tf

    with tf.Graph().as_default(), tf.Session() as session:
        fed = {
            name: tf.placeholder(tf.float32, (None, *value.shape[1:]))
            for name, value in activations.items()
        }
        constants = {name: tf.constant(value) for name, value in weights.items()}
        probability = tf.sigmoid(foreground_logits(fed, constants))
        count = len(next(iter(activations.values())))
        return np.concatenate(
            [
                session.run(probability, {fed[n]: v[places] for n, v in activations.items()})
                for places in (slice(i, i + _BATCH) for i in range(0, count, _BATCH))
            ]
        )


def starting_point(train, maps, threshold, own, kept_at):
    """Where GrabCut starts: the multiple of a threshold whose pupil finds the held-out images best."""
    shape = next(iter(own.values())).shape[1:3]
    others = [place for place in range(len(maps)) if place % _EVERY][::2]
    part = {layer: value[::_EVERY] for layer, value in own.items()}
    found = {}
    for start in sorted({min(threshold * multiple, _MOST) for multiple in _MULTIPLES}):
        masks = masks_of(train, maps, start, shape, others)["masks"]
        weights = kept(kept_at(f"trial_{start:.3f}"), taught, own, masks, 0)
        found[start] = train.measure(foreground(part, weights), every=_EVERY).result()[FIGURE]
    return max(found, key=found.get), found


def measured(number, load, args, train, test, starts):
    """Teacher -> (its entry, its evaluator, its pupil's evaluator, and their thresholds) for one seed.

    `starts` has each teacher's starting point of GrabCut, and is filled with the first seed.
    """
    from dgl.predict.predictor import Predictor

    def path(name):
        return os.path.join(args.work, name + ".npz")

    network = 1 if args.frozen else number
    own, other = (
        kept(path(f"activations_{network}_{name}"), activations_of, load, split)
        for name, split in (("train", train), ("test", test))
    )
    shape = next(iter(own.values())).shape[1:3]
    with Predictor(mode_for(load), load, args.layers, TEACHERS) as predictor:

        def maps_of(entries, split):
            return in_batches(
                lambda images, classes: {
                    "@".join(entry): value
                    for entry, value in predictor(images, classes, entries).maps.items()
                },
                split,
            )

        maps = kept(path(f"maps_{number}_train"), maps_of, predictor.entries, train)
        chosen = {method: selected(train, maps, method) for method in TEACHERS}
        best = {entry for entry, _ in chosen.values()}
        entries = [entry for entry in predictor.entries if "@".join(entry) in best]
        tests = kept(path(f"maps_{number}_test"), maps_of, entries, test)
    found = {}
    for method, (entry, threshold) in chosen.items():
        if method not in starts:
            starts[method] = starting_point(
                train, maps[entry], threshold, own, lambda name, of=method: path(f"{of}_{name}")
            )
            print(method, entry, starts[method], flush=True)
        start = starts[method][0]
        # Maps that do not depend on the class are the same for all seeds of a frozen network.
        name = "masks_" + hashlib.sha256(maps[entry].tobytes()).hexdigest()[:16] + f"_{start:.3f}"
        masks = kept(path(name), masks_of, train, maps[entry], start, shape)["masks"]
        weights = kept(path(f"head_{number}_{method}"), taught, own, masks, number)
        part = {layer: value[::_EVERY] for layer, value in own.items()}
        tuned = train.measure(foreground(part, weights), every=_EVERY).result()["best_threshold"]
        pupil = test.measure(foreground(other, weights), tuned)
        found[method] = entry, test.measure(tests[entry], threshold), pupil, threshold, tuned
        print(
            number,
            entry,
            *(e.result()["max_box_acc_v2_per_iou"] for e in found[method][1:3]),
            flush=True,
        )
    return found


def record_of(found, resamples):
    """Rows of teachers with their pupils, tests against DGL's, and the correlation of the ranks."""
    from scipy.stats import spearmanr

    rows, pupils, teachers = [], {}, {}
    for method in TEACHERS:
        own = [seed[method] for seed in found]
        both = {"teacher": (1, 3), "pupil": (2, 4)}
        each = {
            kind: row(
                method,
                [{method: one[place]} for one in own],
                [{method: one[threshold]} for one in own],
                resamples,
            )
            for kind, (place, threshold) in both.items()
        }
        rows.append({"method": method, "layers": [one[0].split("@")[1] for one in own], **each})
        teachers[method] = Replicates([one[1] for one in own])
        pupils[method] = Replicates([one[2] for one in own])
    tests = [
        compare(measured["dgl"], measured[method], FIGURE, resamples).record(
            "dgl's " + kind, f"{method}'s {kind}", FIGURE
        )
        for kind, measured in (("teacher", teachers), ("pupil", pupils))
        for method in TEACHERS
        if method != "dgl"
    ]
    ranks = {
        figure: float(
            spearmanr(*([r[kind][figure]["mean"] for r in rows] for kind in ("teacher", "pupil")))[
                0
            ]
        )
        for figure in (FIGURE, "iou_50", "iou_70")
    }
    return {"rows": rows, "comparisons": tests, "rank_correlation": ranks}


def main(argv=None):
    """Teach and measure every head; writes the record."""
    args = make_parser().parse_args(argv)
    from dgl.backbones import get_backbone
    from dgl.weights import open_weights, read_card
    from dgl.weights.model_card import default_image_size

    os.makedirs(args.work, exist_ok=True)
    backbone = get_backbone(mode_for(args.load[0]))
    size = default_image_size(backbone, read_card(open_weights(backbone, args.load[0]).path))
    train = Split(load_data(args.data, args.train_split).samples, size)
    data = load_data(args.data, "test")
    test = Split(data.samples, size)
    starts = {}
    found = [
        measured(number, load, args, train, test, starts)
        for number, load in enumerate(args.load, 1)
    ]
    record = {
        "data": data.name,
        "train_split": args.train_split,
        "images": len(data),
        "mode": backbone.mode,
        "layers": args.layers,
        "teaching_images": len(train.ids),
        "starts": {
            method: {"chosen": chosen, FIGURE: {f"{at:.3f}": v for at, v in tried.items()}}
            for method, (chosen, tried) in starts.items()
        },
        **record_of(found, args.resamples),
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    return 0


def make_parser():
    parser = parser_of(__doc__)
    parser.add_argument("--layers", nargs="+", required=True, help="each method's best one teaches")
    parser.add_argument(
        "--frozen", action="store_true", help="the checkpoints differ in their last layer alone"
    )
    return parser


if __name__ == "__main__":
    run_script(main)
