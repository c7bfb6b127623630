#!/usr/bin/env python
"""Compare the ways from a map to a box: normalization, smoothing, interpolation and threshold.

Maps are computed once. The threshold of every rule (Otsu's has none) is selected on other images, and rules
are compared with min-max at the same layer, paired by image.

    python benchmarks/normalization.py --mode efficientnet_lite2 --data ilsvrc --tune-split val \
        --entry dgl:block14 layercam:block14_depthwise --out benchmarks/results/rules_ilsvrc.json
"""

import json
import os
import sys

import cv2
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.object_coverage import make_parser, opened, raw_maps
from benchmarks.recorded import markdown
from dgl.errors import run_script
from dgl.metrics.bootstrap import RESAMPLES, compare, intervals
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.predict.postprocess import normalize, parse_normalization, score_map
from dgl.utils.files import write_atomically

STEP = 0.01
_FIGURES = ("box_acc", "max_box_acc_v2")


def _named(name):
    normalization = parse_normalization(name)
    return lambda raw, side: score_map(raw, side, side, normalization)


def _smoothed(raw, side):
    return cv2.GaussianBlur(score_map(raw, side, side), (0, 0), side / 28)


def _cubic(raw, side):
    resized = cv2.resize(normalize(raw), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(resized, 0, 1)


def _otsu(raw, side):
    # Of the square root, since most of a map is near zero.
    levels = (255 * np.sqrt(score_map(raw, side, side, parse_normalization("max")))).astype("uint8")
    return cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1].astype("float32")


RULES = {
    "minmax": _named("minmax"),
    "max": _named("max"),
    "pas:99": _named("pas:99"),
    "pas:97": _named("pas:97"),
    "pas:95": _named("pas:95"),
    "pas:90": _named("pas:90"),
    "ivr:20": _named("ivr:20"),
    "ivr:40": _named("ivr:40"),
    "minmax, smoothed": _smoothed,
    "minmax, cubic": _cubic,
    "Otsu": _otsu,
}


def evaluators(found, thresholds=None):
    """(entry, rule) -> evaluator of (sample, boxes, raw maps, side) of many images."""
    thresholds = thresholds or {}
    made = {}
    for sample, boxes, maps, side in found:
        for entry, raw in maps.items():
            for rule, apply in RULES.items():
                key = entry, rule
                if key not in made:
                    made[key] = MaxBoxAccEvaluator(STEP, operating_threshold=thresholds.get(key))
                made[key].add(apply(raw, side), boxes, sample.id)
    return made


def row(key, evaluator, usual, resamples):
    """One rule at one entry: figures, intervals, and the difference from min-max."""
    result, ranges = evaluator.result(), intervals(evaluator, resamples)
    (method, layer), rule = key
    found = {"method": method, "layer": layer, "rule": rule}
    for figure in _FIGURES:
        found[figure] = {"value": result[figure], "interval": list(ranges[figure])}
        if evaluator is not usual:
            test = compare(evaluator, usual, figure, resamples)
            found[figure].update(difference=test.difference, of=list(test.interval), p=test.p_value)
    found["per_iou"] = result["max_box_acc_v2_per_iou"]
    return found


def table(record):
    """Markdown: a row a rule at each layer."""
    lines = [["method", "layer", "rule", "BoxAcc", "IoU 0.7", "V2", "V2, less min-max", "p"]]
    for one in record["rows"]:
        v2 = one["max_box_acc_v2"]
        cells = [one["method"], one["layer"], one["rule"]]
        cells += [f"{one['box_acc']['value']:.1f}", f"{one['per_iou']['70']:.1f}"]
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(v2["value"], *v2["interval"]))
        if "difference" in v2:
            cells.append("{:+.1f} ({:+.1f} to {:+.1f})".format(v2["difference"], *v2["of"]))
            cells.append(f"{v2['p']:.3f}")
        lines.append(cells + [""] * (8 - len(cells)))
    return markdown(lines)


def main(argv=None):
    args = make_parser(__doc__).parse_args(argv)
    predictor, _, tuning, reported = opened(args)
    with predictor:
        tuned = evaluators(raw_maps(predictor, tuning))
        thresholds = {key: own.result()["best_threshold"] for key, own in tuned.items()}
        measured = evaluators(raw_maps(predictor, reported.samples), thresholds)
    rows = []
    for key, evaluator in measured.items():
        found = row(key, evaluator, measured[key[0], "minmax"], RESAMPLES)
        rows.append(dict(found, threshold=thresholds[key]))
    record = {
        "data": reported.name,
        "mode": predictor.backbone.mode,
        "images": len(reported),
        "rows": rows,
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(table(record))
    return 0


if __name__ == "__main__":
    run_script(main)
