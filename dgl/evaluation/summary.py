"""Figures of an evaluation's results, written as ``metrics.json``, ``images.csv`` and ``errors.csv``."""

import json
import math
import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from dgl.data.views import GEOMETRIES
from dgl.errors import UserError
from dgl.evaluation.fusion import entry_name
from dgl.evaluation.plan import FIXED, IOU, WSOL, Plan
from dgl.evaluation.results import Results
from dgl.metrics.bootstrap import compare, intervals
from dgl.metrics.evaluator import Evaluator
from dgl.utils.files import write_atomically
from dgl.utils.table import write_csv

METRICS = "metrics.json"
# The figure by which a protocol ranks layers and by which methods are compared.
RANKING = {FIXED: "gt_known", WSOL: "max_box_acc"}
_NOT_SHOWN = ("protocol", "rows")


def compute_metrics(
    results: Results,
    seed: int = 0,
    resamples: int = 1000,
    selection: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """The record of an evaluation.

    Args:
        results: :class:`~dgl.evaluation.results.Results`.
        seed: int, of the resampling.
        resamples: int, of the bootstrap and of the paired tests; 0 for none of either.
        selection: what :func:`dgl.evaluation.thresholds.select_thresholds` describes, or ``None``.

    Returns:
        ordered dict of JSON values; accuracies, errors and their intervals in percent, thresholds in
        [0, 1].

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
        metrics["classification"] = _with_intervals(errors, first, resamples, seed)
    metrics["protocols"] = {
        name: _protocol(results, name, seed, resamples, selection) for name in plan.protocols
    }
    if selection is not None:
        metrics["selection"] = selection
    if plan.alpha_entries:
        metrics["alpha"] = _alpha(results, seed, resamples)
    metrics["errors"] = len(results.errors)
    metrics["boxes_clipped"] = results.boxes_clipped()
    metrics["boxes_outside"] = results.boxes_outside()
    return metrics


def _protocol(
    results: Results, name: str, seed: int, resamples: int, selection: Optional[Mapping[str, Any]]
) -> Dict[str, Any]:
    plan = results.plan
    settings: Dict[str, Any] = {}
    if name == FIXED:
        settings.update(threshold=plan.threshold, iou=IOU)
    else:
        settings.update(step=plan.step)
    settings["geometry"] = GEOMETRIES[name].description
    rows = [row_of(results, name, entry, seed, resamples) for entry in plan.entries]
    settings["rows"] = rows
    if resamples:
        settings["comparisons"] = _comparisons(results, name, rows, seed, resamples, selection)
    return settings


def row_of(
    results: Results, protocol: str, entry: Tuple[str, str], seed: int, resamples: int
) -> Dict[str, Any]:
    """One row of a protocol's table."""
    row: Dict[str, Any] = {"method": entry[0], "layer": entry[1]}
    evaluator = results.localization[protocol, entry]
    figures = {k: v for k, v in evaluator.result().items() if k not in _NOT_SHOWN}
    row.update(_with_intervals(figures, evaluator, resamples, seed))
    pixels = results.pixels.get(entry) if protocol == WSOL else None
    if pixels is not None and pixels.images:
        row.update(_with_intervals({"pxap": pixels.result()["pxap"]}, pixels, resamples, seed))
    return row


def _with_intervals(
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
    found = []
    for entry in chosen.values():
        if entry == reference:
            continue
        result = compare(
            results.localization[protocol, reference],
            results.localization[protocol, entry],
            figure,
            resamples,
            seed,
        )
        found.append(result.record(entry_name(reference), entry_name(entry), figure))
    return found


def chosen_entries(
    rows: Iterable[Mapping[str, Any]], protocol: str, selection: Optional[Mapping[str, Any]] = None
) -> Dict[str, Tuple[str, str]]:
    """The entry that stands for each method: the layer chosen on other data, else the best one here.

    Returns:
        ordered method -> (method, layer).
    """
    selected = {
        row["method"]: (row["method"], row["layer"])
        for row in (selection or {}).get("rows", ())
        if row["chosen"]
    }
    best: Dict[str, Tuple[float, Tuple[str, str]]] = {}
    for row in rows:
        method, value = row["method"], row[RANKING[protocol]]
        if method not in best or value > best[method][0]:
            best[method] = (value, (method, row["layer"]))
    return {method: selected.get(method, entry) for method, (_, entry) in best.items()}


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
            own = row_of(results, protocol, entry, seed, resamples)
            figure = RANKING[protocol]
            row.update((k, own[k]) for k in (figure, figure + "_interval") if k in own)
        rows.append(row)
    return {"layer": results.plan.alpha_entries[0][1], "rows": rows}


def image_rows(results: Results) -> List[Dict[str, Any]]:
    """One flat record per image: the prediction, then box, IoU and outcome of every entry."""
    plan, images = results.plan, results.images
    keys, rows = images.ids, {}
    for row in images.order():
        own, predicted = (
            int(images.column(name)[row]) for name in ("class_index", "predicted_index")
        )
        rows[keys[row]] = {
            "id": results.names[keys[row]],
            "class_index": own,
            "class_name": class_name(plan, own),
            "predicted_index": predicted,
            "predicted_name": class_name(plan, predicted),
            "probability": float(images.column("probability")[row]),
            "class_probability": float(images.column("class_probability")[row]),
            "rank": int(images.column("rank")[row]),
        }
    if FIXED in plan.protocols:
        for entry in plan.entries:
            for found in results.localization[FIXED, entry].result()["rows"]:
                for key in ("x0", "y0", "x1", "y1", "iou", "case", "gt_known"):
                    rows[found["id"]][f"{entry_name(entry)}:{key}"] = found[key]
    return list(rows.values())


def class_name(plan: Plan, class_index: int) -> str:
    """The name of a class, or its number as text where it has none."""
    names = plan.class_names
    return names[class_index] if names and class_index < len(names) else str(class_index)


def write_metrics(out: str, metrics: Mapping[str, Any]) -> None:
    """Write ``metrics.json``."""
    text = json.dumps(metrics, indent=1) + "\n"
    write_atomically(os.path.join(out, METRICS), text.encode("utf-8"))


def write_left_out(
    out: str, errors: Mapping[Any, Tuple[str, str]], skipped: Sequence[str], what: str = "images"
) -> List[str]:
    """Write ``errors.csv`` and ``skipped.csv``, or remove an earlier run's.

    Args:
        out: str, folder.
        errors: key -> (id, reason) of what could not be read.
        skipped: the lines of lists that were left out.
        what: name of what could not be read.

    Returns:
        list of lines that say so, empty where everything was read.
    """
    files = (
        ("errors.csv", [{"id": i, "error": reason} for i, reason in errors.values()], what),
        ("skipped.csv", [{"error": reason} for reason in skipped], "lines of lists"),
    )
    told = []
    for name, rows, kind in files:
        path = os.path.join(out, name)
        _write_or_remove(path, rows)
        if rows:
            told.append(f"{len(rows)} {kind} could not be read, see {path}")
    return told


def _write_or_remove(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        write_csv(path, rows, tuple(rows[0]))
    elif os.path.exists(path):
        try:
            os.remove(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be removed: {error.strerror}") from error
