"""`dgl evaluate --maps`: metrics, tables and a page from folders of saved maps."""

import json
import os
import time
from argparse import Namespace
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from dgl.data.bad_lines import BadLines
from dgl.errors import UserError
from dgl.evaluation import saved_maps
from dgl.evaluation.plan import versions
from dgl.evaluation.results import check_finished
from dgl.evaluation.summary import METRICS, write_left_out, write_metrics
from dgl.metrics.bootstrap import compare, intervals
from dgl.report.evaluation_files import print_tables, write_results
from dgl.utils.files import read_bounded

_GEOMETRY = "saved maps and boxes at 224 x 224"
# In place of a layer's name.
_SAVED = "saved"
_MOST_BYTES = 1 << 28


def score_maps(args: Namespace) -> int:
    """Score the folders of ``--maps``; returns the exit code.

    ``metrics.json`` has a row per folder in ``protocols``. The metrics of a single folder are at its top
    level too: ``max_box_acc``, ``best_threshold``, ``max_box_acc_v2``, ``max_box_acc_v2_per_iou``,
    ``thresholds``, ``curve`` and, if there are masks, ``pxap``.

    Raises:
        UserError: no metadata, a missing folder, or no usable map in it.
    """
    started = time.time()
    if args.metadata is None:
        raise UserError("--metadata: expected the metadata folder that goes with --maps")
    bad = BadLines()
    records = saved_maps.read_records(args.metadata, args.mask_root, bad)
    if args.limit:
        records = records[: args.limit]
    names = _names(args.maps)
    if not args.overwrite:
        _check_finished(args, list(names), len(records))
    scores = {
        name: saved_maps.score(
            folder, records, args.cam_interval, args.mask_root, args.workers, args.strict
        )
        for name, folder in names.items()
    }
    rows = [_row(name, found, args.seed, args.resamples) for name, found in scores.items()]
    metrics: Dict[str, Any] = {
        "versions": versions(with_tensorflow=False),
        "seed": args.seed,
        "resamples": args.resamples,
        "data": {"name": os.path.basename(os.path.abspath(args.metadata)), "images": len(records)},
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
    left_out = write_left_out(args.out, errors, bad.reasons, "maps")
    write_metrics(args.out, metrics)
    page = write_results(args.out, metrics, [], started)
    print_tables(metrics)
    for line in left_out:
        print(line)
    print(f"Results in {args.out}; open {page}")
    return 1 if left_out else 0


def _check_finished(args: Namespace, names: Sequence[str], images: int) -> None:
    """Refuse an ``--out`` with finished results of an evaluation, or of other maps or thresholds.

    Raises:
        UserError: it is one.
    """
    check_finished(args.out, None)
    data = read_bounded(os.path.join(args.out, METRICS), _MOST_BYTES, METRICS)
    if data is None:
        return
    try:
        found = json.loads(data)
        protocol = found["protocols"]["wsolevaluation"]
        rows = [_row_name(row["method"], row["layer"]) for row in protocol["rows"]]
        earlier = rows, protocol["step"], found["data"]["images"]
    except (ValueError, KeyError, TypeError):
        earlier = [], None, None
    wanted = list(names), args.cam_interval, images
    if sorted(earlier[0]) != sorted(wanted[0]) or earlier[1:] != wanted[1:]:
        raise UserError(
            f"--out {args.out}: finished results of other maps, images or thresholds; expected the same "
            "flags, another --out, or --overwrite"
        )


def _row_name(method: str, layer: str) -> str:
    return method if layer == _SAVED else f"{method}@{layer}"


def _names(folders: Sequence[str]) -> Dict[str, str]:
    """Name -> folder; a name is the shortest end of the path that is unique."""
    paths = list(dict.fromkeys(os.path.abspath(folder) for folder in folders))
    parts = [path.split(os.sep) for path in paths]
    depth = 1
    while len({tuple(p[-depth:]) for p in parts}) < len(parts):
        depth += 1
    return {"/".join(p[-depth:]): path for p, path in zip(parts, paths)}


def _row(name: str, scores: saved_maps.Scores, seed: int, resamples: int) -> Dict[str, Any]:
    """The metrics of one folder."""
    method, at, layer = name.partition("@")
    row: Dict[str, Any] = {"method": method, "layer": layer if at else _SAVED}
    evaluators: Tuple[Tuple[Any, Any], ...] = ((scores.boxes, None), (scores.pixels, ("pxap",)))
    for evaluator, keys in evaluators:
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


def _comparisons(
    scores: Mapping[str, saved_maps.Scores], seed: int, resamples: int
) -> List[Dict[str, Any]]:
    """The first folder compared with each of the others, if both have the same images."""
    names = list(scores)
    found = []
    for name in names[1:] if resamples else ():
        first, second = scores[names[0]], scores[name]
        pairs: Tuple[Tuple[Any, Any, str], ...] = (
            (first.boxes, second.boxes, "max_box_acc"),
            (first.pixels, second.pixels, "pxap"),
        )
        for one, other, metric in pairs:
            if not one.images or one.counted_ids() != other.counted_ids():
                continue
            result = compare(one, other, metric, resamples, seed)
            found.append(result.record(names[0], name, metric))
    return found
