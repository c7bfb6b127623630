"""What a store of labels holds: counts, and the list of images that could not be read."""

import os
from typing import Any, Dict, List, Optional, Sequence

from dgl.labeling.decisions import REJECTED, corrected
from dgl.labeling.store import read_header
from dgl.utils.table import write_csv

SKIPPED = "skipped.csv"


def summarize(folder: str, left_out: Optional[Sequence[str]] = None) -> Dict[str, Any]:
    """Count what is in a store, and write ``skipped.csv``, or remove an old one.

    Args:
        folder: str, the output folder of `dgl label`.
        left_out: the wrong lines of the data set's lists, which are skipped as well; ``None`` keeps an old
            ``skipped.csv``.

    Returns:
        dict: ``images``, those ``labeled`` (with an object), ``empty`` and ``skipped``; ``objects``;
        ``reviewed`` and ``rejected`` images; ``skipped_csv``, its path or ``None``; ``confidence``, what
        it was computed with.

    Raises:
        UserError: there is no store, or it is damaged.
    """
    counts = dict.fromkeys(
        ("images", "labeled", "empty", "skipped", "objects", "reviewed", "rejected"), 0
    )
    skipped: List[Dict[str, str]] = []
    for labels in corrected(folder):
        counts["images"] += 1
        if labels.error is not None:
            skipped.append({"image": labels.image, "reason": labels.error})
            continue
        counts["reviewed"] += labels.status is not None
        counts["rejected"] += labels.status == REJECTED
        counts["labeled"] += bool(labels.objects)
        counts["empty"] += not labels.objects and labels.status is None
        counts["objects"] += len(labels.objects)
    skipped.extend({"image": "", "reason": reason} for reason in left_out or ())
    counts["skipped"] = len(skipped)
    path = os.path.join(folder, SKIPPED)
    if left_out is not None and skipped:
        write_csv(path, skipped, ["image", "reason"])
    elif left_out is not None and os.path.isfile(path):
        os.remove(path)
    return {
        **counts,
        "skipped_csv": path if skipped else None,
        "confidence": read_header(folder).calibration.get("source"),
    }
