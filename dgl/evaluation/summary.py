"""Figures of an evaluation's results: thresholds and layers selected by them, tables, and their files.

The files are ``metrics.json``, ``images.csv``, ``errors.csv`` and ``skipped.csv``.
"""

import math
import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from dgl.data.class_names import ClassNames
from dgl.data.sample import DataSet
from dgl.data.views import GEOMETRIES
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import entry_name
from dgl.evaluation.plan import FIXED, IOU, WSOL
from dgl.evaluation.results import Results
from dgl.metrics.bootstrap import compare, intervals
from dgl.metrics.evaluator import Evaluator
from dgl.utils.table import write_csv

METRICS = "metrics.json"
# The figure by which a protocol ranks layers and by which methods are compared.
RANKING = {FIXED: "gt_known", WSOL: "max_box_acc"}
_NOT_SHOWN = ("protocol", "rows")


def check_disjoint(reported: DataSet, selecting: DataSet) -> None:
    """Raise :class:`UserError` where two splits share an image."""
    own = {os.path.realpath(sample.path) for sample in reported.samples}
    shared = [s.id for s in selecting.samples if os.path.realpath(s.path) in own]
    if shared:
        raise UserError(
            f"--tune-split {selecting.split}: {len(shared)} of its images are in {reported.split} too, "
            f"such as {shared[0]}; expected other images than those reported"
        )


def select_thresholds(results: Results) -> Tuple[Dict[str, Dict[str, float]], Dict[str, Any]]:
    """Select every entry's threshold and every method's layer by the results of a selecting plan.

    Returns:
        ``(thresholds, description)``: protocol -> entry name -> the lowest threshold at which the
        largest contour's box is right most often; and for the record the ``split``, the number of
        ``images`` with a box, the ``rule``, and a row per entry with its ``threshold``, its ``box_acc``
        in percent there and whether its layer is the method's ``chosen`` one.

    Raises:
        UserError: no image has a box.
    """
    plan = results.plan
    found = {key: evaluator.result() for key, evaluator in results.localization.items()}
    thresholds: Dict[str, Dict[str, float]] = {protocol: {} for protocol in plan.protocols}
    for (protocol, entry), result in found.items():
        thresholds[protocol][entry_name(entry)] = result["best_threshold"]
    protocol = WSOL if WSOL in plan.protocols else plan.protocols[0]
    rows = []
    for method, layer in plan.entries:
        result = found[protocol, (method, layer)]
        figures = {"threshold": result["best_threshold"], "box_acc": result["max_box_acc"]}
        rows.append({"method": method, "layer": layer, **figures})
    best = best_rows(rows, "box_acc")
    for row in rows:
        row["chosen"] = row["layer"] == best[row["method"]]["layer"]
    description = {
        "split": plan.data["split"],
        "images": found[protocol, plan.entries[0]]["images"],
        "rule": "threshold and layer with the best accuracy at IoU 0.5 on this split, by the geometry "
        f"of {protocol}; the fixed-threshold protocol has thresholds settled in its own",
        "rows": rows,
    }
    return thresholds, description


def best_rows(rows: Iterable[Mapping[str, Any]], figure: str) -> Dict[str, Mapping[str, Any]]:
    """Method -> its row of the highest figure, the first of several."""
    best: Dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row[figure] > best.setdefault(row["method"], row)[figure]:
            best[row["method"]] = row
    return best


def compute_metrics(
    results: Results,
    seed: int = 0,
    resamples: int = 1000,
    selection: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """The record of an evaluation, JSON values: figures and intervals in percent, thresholds in [0, 1].

    Args:
        results: of all images.
        seed, resamples: of the bootstrap and of the paired tests; 0 resamples for none of either.
        selection: what :func:`select_thresholds` describes, or ``None``.

    Raises:
        UserError: no image has a box.
    """
    plan = results.plan
    metrics: Dict[str, Any] = {"versions": plan.versions, "seed": seed, "resamples": resamples}
    if plan.model is not None:
        metrics["model"] = plan.model
    metrics["data"] = plan.data
    if plan.model is not None:
        first = results.classification[plan.protocols[0]]
        errors = {k: v for k, v in first.result().items() if k != "images"}
        metrics["classification"] = with_intervals(errors, first, resamples, seed)
    metrics["protocols"] = {
        name: _protocol(results, name, seed, resamples, selection) for name in plan.protocols
    }
    if selection is not None:
        metrics["selection"] = selection
    if plan.alpha_entries:
        metrics["alpha"] = _alpha(results, seed, resamples)
    metrics["errors"] = len(results.errors)
    for name in ("clipped", "outside"):
        metrics["boxes_" + name] = int(np.sum(results.images.column(name)))
    return metrics


def _protocol(
    results: Results, name: str, seed: int, resamples: int, selection: Optional[Mapping[str, Any]]
) -> Dict[str, Any]:
    plan = results.plan
    rows = [_row(results, name, entry, seed, resamples) for entry in plan.entries]
    found: Dict[str, Any] = {
        **({"threshold": plan.threshold, "iou": IOU} if name == FIXED else {"step": plan.step}),
        "geometry": GEOMETRIES[name].description,
        "rows": rows,
    }
    if resamples:
        found["comparisons"] = _comparisons(results, name, rows, seed, resamples, selection)
    return found


def _row(
    results: Results, protocol: str, entry: Tuple[str, str], seed: int, resamples: int
) -> Dict[str, Any]:
    pixels = results.pixels.get(entry) if protocol == WSOL else None
    return table_row(*entry, results.localization[protocol, entry], pixels, resamples, seed)


def table_row(
    method: str,
    layer: str,
    boxes: Optional[Evaluator],
    pixels: Optional[Evaluator],
    resamples: int,
    seed: int,
) -> Dict[str, Any]:
    """One row of a protocol's table: figures by boxes and, where images have masks, by pixels."""
    row: Dict[str, Any] = {"method": method, "layer": layer}
    if boxes is not None:
        figures = {k: v for k, v in boxes.result().items() if k not in _NOT_SHOWN}
        row.update(with_intervals(figures, boxes, resamples, seed))
    if pixels is not None and pixels.images:
        row.update(with_intervals({"pxap": pixels.result()["pxap"]}, pixels, resamples, seed))
    return row


def with_intervals(
    figures: Mapping[str, Any], evaluator: Evaluator, resamples: int, seed: int
) -> Dict[str, Any]:
    """The figures, each that has one followed by ``<figure>_interval``."""
    found = intervals(evaluator, resamples, seed) if resamples else {}
    result: Dict[str, Any] = {}
    for name, value in figures.items():
        result[name] = value
        if name in found:
            result[name + "_interval"] = list(found[name])
    return result


def _comparisons(
    results: Results,
    protocol: str,
    rows: List[Dict[str, Any]],
    seed: int,
    resamples: int,
    selection: Optional[Mapping[str, Any]],
) -> List[Dict[str, Any]]:
    """DGL, or whichever method comes first, against every other method, each at one layer."""
    chosen = chosen_entries(rows, protocol, selection)
    methods = list(chosen)
    if len(methods) < 2:
        return []
    reference = chosen["dgl" if "dgl" in chosen else methods[0]]
    figure = RANKING[protocol]
    if protocol == WSOL and "box_acc" in rows[0]:
        figure = "box_acc"
    own = results.localization[protocol, reference]
    found = []
    for entry in chosen.values():
        if entry != reference:
            other = results.localization[protocol, entry]
            result = compare(own, other, figure, resamples, seed)
            found.append(result.record(entry_name(reference), entry_name(entry), figure))
    return found


def chosen_entries(
    rows: Iterable[Mapping[str, Any]], protocol: str, selection: Optional[Mapping[str, Any]] = None
) -> Dict[str, Tuple[str, str]]:
    """Method -> the entry that stands for it: the layer chosen on other data, else the best one here."""
    selected = [row for row in (selection or {}).get("rows", ()) if row["chosen"]]
    chosen = [*best_rows(rows, RANKING[protocol]).values(), *selected]
    return {row["method"]: (row["method"], row["layer"]) for row in chosen}


def _alpha(results: Results, seed: int, resamples: int) -> Dict[str, Any]:
    """Figures of the study of alpha, both protocols side by side as one row per alpha."""
    from dgl.attribution import parse_method  # loads TensorFlow, which tables can do without

    rows = []
    for entry in results.plan.alpha_entries:
        request = parse_method(entry[0])
        row: Dict[str, Any] = {
            "alpha": "inf" if request.alpha == math.inf else request.alpha,  # JSON has no infinity
            "semantics": request.semantics or "kernel",
        }
        for protocol in results.plan.protocols:
            own = _row(results, protocol, entry, seed, resamples)
            figure = RANKING[protocol]
            row.update((k, own[k]) for k in (figure, figure + "_interval") if k in own)
        rows.append(row)
    return {"layer": results.plan.alpha_entries[0][1], "rows": rows}


def image_rows(results: Results) -> List[Dict[str, Any]]:
    """One flat record per image: the prediction, then box, IoU and outcome of every entry."""
    plan, images, rows = results.plan, results.images, {}
    class_names = ClassNames(plan.class_names or ())
    names = ("class_index", "predicted_index", "probability", "class_probability", "rank")
    lines = sorted(zip(images.ids, *(images.column(name).tolist() for name in names)))
    for key, own, predicted, probability, class_probability, rank in lines:
        rows[key] = {
            "id": results.names[key],
            "class_index": own,
            "class_name": class_names.name(own),
            "predicted_index": predicted,
            "predicted_name": class_names.name(predicted),
            "probability": probability,
            "class_probability": class_probability,
            "rank": rank,
        }
    if FIXED in plan.protocols:
        for entry in plan.entries:
            for found in results.localization[FIXED, entry].result()["rows"]:
                for key in ("x0", "y0", "x1", "y1", "iou", "case", "gt_known"):
                    rows[found["id"]][f"{entry_name(entry)}:{key}"] = found[key]
    return list(rows.values())


def write_left_out(
    out: str, errors: Iterable[Tuple[str, str]], skipped: Sequence[str], what: str
) -> List[str]:
    """Write ``errors.csv`` and ``skipped.csv``, or remove an earlier run's; returns lines that say so.

    ``errors`` are (id, reason) of what could not be read, which ``what`` names; ``skipped`` are the lines
    of lists that were left out.
    """
    files = (
        ("errors.csv", [{"id": i, "error": reason} for i, reason in errors], what),
        ("skipped.csv", [{"error": reason} for reason in skipped], "lines of lists"),
    )
    told = []
    for name, rows, kind in files:
        path = os.path.join(out, name)
        if rows:
            write_csv(path, rows, tuple(rows[0]))
            told.append(f"{len(rows)} {kind} could not be read, see {path}")
        elif os.path.exists(path):
            try:
                os.remove(path)
            except OSError as error:
                raise UserError(f"{path}: cannot be removed: {error.strerror}") from error
    return told
