"""Select thresholds and layers on another split than the reported one."""

import os
from typing import Any, Dict, Tuple

from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.evaluation.fusion import entry_name
from dgl.evaluation.plan import WSOL
from dgl.evaluation.results import Results


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
    """Select every entry's threshold and every method's layer.

    Args:
        results: :class:`~dgl.evaluation.results.Results` of a selecting plan.

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
    best: Dict[str, Tuple[float, str]] = {}
    for method, layer in plan.entries:
        accuracy = found[protocol, (method, layer)]["max_box_acc"]
        if method not in best or accuracy > best[method][0]:
            best[method] = (accuracy, layer)
    rows = [
        {
            "method": method,
            "layer": layer,
            "threshold": found[protocol, (method, layer)]["best_threshold"],
            "box_acc": found[protocol, (method, layer)]["max_box_acc"],
            "chosen": best[method][1] == layer,
        }
        for method, layer in plan.entries
    ]
    description = {
        "split": plan.data["split"],
        "images": found[protocol, plan.entries[0]]["images"],
        "rule": "threshold and layer with the best accuracy at IoU 0.5 on this split, by the geometry "
        f"of {protocol}; the fixed-threshold protocol has thresholds settled in its own",
        "rows": rows,
    }
    return thresholds, description
