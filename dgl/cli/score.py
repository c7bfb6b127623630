"""``evaluate_localization.py --maps``: from folders of saved maps to metrics, tables and a page."""

import os
from argparse import Namespace
from typing import Any, Dict, Mapping, Tuple

from dgl.errors import UserError
from dgl.evaluation import saved_maps as scoring
from dgl.evaluation.summary import write_errors, write_metrics
from dgl.metrics.bootstrap import compare, intervals
from dgl.report.evaluation_files import print_tables, write_results

_GEOMETRY = "saved maps and boxes at 224 x 224"
# Where the layer of a map would stand.
_SAVED = "saved"


def run(args: Namespace, started: float, versions: Mapping[str, str]) -> int:
    """Score folders of maps; returns the exit code.

    ``metrics.json`` has the figures of a single folder on its top level: ``max_box_acc``,
    ``best_threshold``, ``max_box_acc_v2``, ``max_box_acc_v2_per_iou``, ``thresholds``, ``curve`` and,
    where there are masks, ``pxap``; in any case a row a folder in ``protocols``.

    Raises:
        UserError: no metadata, a folder that is missing, or none of its maps is as expected.
    """
    if args.metadata is None:
        raise UserError("--metadata: expected the metadata folder that goes with --maps")
    records = scoring.read_records(args.metadata, args.mask_root)
    if args.limit:
        records = records[: args.limit]
    names = _names(args.maps)
    scores = {
        name: scoring.score(
            folder, records, args.cam_interval, args.mask_root, args.workers, args.strict
        )
        for name, folder in names.items()
    }
    rows = [_row(name, found, args.seed, args.resamples) for name, found in scores.items()]
    metrics = {"versions": versions, "seed": args.seed, "resamples": args.resamples}
    metrics["data"] = {
        "name": os.path.basename(os.path.abspath(args.metadata)),
        "images": len(records),
    }
    if len(rows) == 1:
        metrics.update((k, v) for k, v in rows[0].items() if k not in ("method", "layer"))
    metrics["protocols"] = {
        "wsolevaluation": {
            "step": args.cam_interval,
            "geometry": _GEOMETRY,
            "rows": rows,
            "comparisons": _comparisons(scores, args.seed, args.resamples),
        }
    }
    errors: Dict[Any, Tuple[str, str]] = {}
    for name, found in scores.items():
        errors.update(((name, key), error) for key, error in found.errors.items())
    metrics["errors"] = len(errors)
    write_errors(args.out, errors)
    write_metrics(args.out, metrics)
    page = write_results(args.out, metrics, [], started)
    print_tables(metrics)
    if errors:
        path = os.path.join(args.out, "errors.csv")
        print(f"{len(errors)} maps could not be read, see {path}")
    print(f"Results in {args.out}; open {page}")
    return 0


def _names(folders):
    """Name -> folder, the shortest ends of the paths that tell them apart."""
    paths = list(dict.fromkeys(os.path.abspath(folder) for folder in folders))
    parts = [path.split(os.sep) for path in paths]
    depth = 1
    while len({tuple(p[-depth:]) for p in parts}) < len(parts):
        depth += 1
    return {"/".join(p[-depth:]): path for p, path in zip(parts, paths)}


def _row(name, scores, seed, resamples):
    method, at, layer = name.partition("@")
    row = {"method": method, "layer": layer if at else _SAVED}
    for evaluator, keys in (
        (scores.boxes, None),
        (scores.pixels, ("pxap",)),
    ):
        if not evaluator.images:
            continue
        found = intervals(evaluator, resamples, seed) if resamples else {}
        for key, value in evaluator.result().items():
            if key == "protocol" or (keys is not None and key not in keys):
                continue
            row[key] = value
            if key in found:
                row[key + "_interval"] = list(found[key])
    if not scores.boxes.images and not scores.pixels.images:
        raise UserError("--metadata: expected at least one image with a box or a mask")
    return row


def _comparisons(scores, seed, resamples):
    """The first folder against each other one, on images that both have."""
    names = list(scores)
    found = []
    for name in names[1:] if resamples else ():
        first, second = scores[names[0]], scores[name]
        for one, other, figure in (
            (first.boxes, second.boxes, "max_box_acc"),
            (first.pixels, second.pixels, "pxap"),
        ):
            if not one.images or one.counted_ids() != other.counted_ids():
                continue
            result = compare(one, other, figure, resamples, seed)
            found.append(result.record(names[0], name, figure))
    return found
