"""The gallery's records as the page shows, sorts and filters them, and the count of failure cases.

The page's script gets numbers only (indices of classes, entries and cases); names stay in the markup.
"""

import math
import os
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from dgl.errors import UserError
from dgl.report.columns import CASES, number

_FOLDED = 12  # more verdicts than that are folded away under an image


def picture_list(
    out_dir: str,
    gallery: Sequence[Mapping[str, Any]],
    embed: Callable[[str], str],
    iou: float = 0.5,
) -> Dict[str, Any]:
    """What the page shows of the gallery.

    Args:
        out_dir: str, the folder that ``file`` is relative to.
        gallery: list of dicts as for :func:`dgl.report.page.write_report`.
        embed: function from a path to a ``data:`` address.
        iou: float in [0, 1] from which on a box is right.

    Returns:
        dict ``entries`` (names), ``classes`` (names), ``cases`` (list of (key, text) that occur),
        ``pictures`` (what is shown of each, from the highest IoU of the first entry down), ``index``
        (the numbers of the script, in the images' order), ``judged`` (whether any image's
        prediction is known to be right or wrong) and ``folded`` (whether there are too many
        verdicts to show them at once).

    Raises:
        UserError: an image is not there or is no image.
    """
    entries = list(dict.fromkeys(n for item in gallery for n in item.get("ious") or ()))
    gallery = sorted(gallery, key=lambda item: _order(item, entries))
    classes = sorted(
        {str(item["true_class"]) for item in gallery if item.get("true_class") is not None}
    )
    seen = {case for item in gallery for case in (item.get("cases") or {}).values()}
    cases = [(key, text) for key, text in CASES.items() if key in seen]
    keys = [key for key, _ in cases]
    pictures = []
    index: List[Dict[str, Any]] = []
    for item in gallery:
        ious = [_iou(item, name) for name in entries]
        own = [(item.get("cases") or {}).get(name) for name in entries]
        name = item.get("true_class")
        correct = item.get("correct")
        index.append(
            {
                "c": -1 if name is None else classes.index(str(name)),
                "k": -1 if correct is None else int(bool(correct)),
                "i": [None if value is None else round(value, 4) for value in ious],
                "r": [-1 if value is None else int(value >= iou) for value in ious],
                "f": [keys.index(case) if case in keys else -1 for case in own],
            }
        )
        path = os.path.join(out_dir, *item["file"].split("/"))
        if not os.path.isfile(path):
            raise UserError(f"{path}: not found, expected an image of the gallery")
        probability = item.get("probability")
        verdicts = [
            {
                "name": entry,
                "text": number(value, 2),
                "right": None if value is None else value >= iou,
                "case": case if case in CASES and case != "right" else "",
            }
            for entry, value, case in zip(entries, ious, own)
        ]
        pictures.append(
            {
                "src": embed(path),
                "id": item["id"],
                "true_class": name,
                "predicted_class": item.get("predicted_class"),
                "probability": "" if probability is None else f"{100 * probability:.1f} %",
                "correct": correct,
                "verdicts": verdicts,
            }
        )
    return {
        "entries": entries,
        "classes": classes,
        "cases": cases,
        "pictures": pictures,
        "index": index,
        "judged": any(item["k"] >= 0 for item in index),
        "folded": len(entries) > _FOLDED,
    }


def case_counts(gallery: Sequence[Mapping[str, Any]]) -> List[Tuple[str, List[int]]]:
    """Counts of failure cases: a row an entry, in order of first appearance.

    Returns:
        list of (entry name, list of int), a count a case of :data:`~dgl.report.columns.CASES`
        and last the images that have one; empty where none has.
    """
    counts: Dict[str, Dict[str, int]] = {}
    for item in gallery:
        for entry, case in (item.get("cases") or {}).items():
            own = counts.setdefault(entry, dict.fromkeys(CASES, 0))
            if case in own:
                own[case] += 1
    rows = [(entry, list(own.values()) + [sum(own.values())]) for entry, own in counts.items()]
    return rows if any(own[-1] for _, own in rows) else []


def _iou(item, entry):
    value = (item.get("ious") or {}).get(entry)
    return None if value is None or math.isnan(value) else float(value)


def _order(item, entries):
    value = _iou(item, entries[0]) if entries else None
    return (value is None, -(value or 0.0))
