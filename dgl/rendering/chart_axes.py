"""What the charts of accuracy share: names of figures, axes in percent, whiskers, checked rows."""

from collections import OrderedDict
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dgl.errors import UserError
from dgl.rendering.chart_style import new_figure

METRICS = OrderedDict(
    max_box_acc="MaxBoxAcc (%)",
    gt_known="GT-known localization (%)",
    top1_loc="Top-1 localization (%)",
    top5_loc="Top-5 localization (%)",
    max_box_acc_v2="MaxBoxAccV2 (%)",
    pxap="PxAP (%)",
    box_acc="box accuracy at the tuned threshold (%)",
)
MARKERS = "os^D"

_RECTANGLE = [0.085, 0.14, 0.895, 0.74]


def measured(
    rows: Iterable[Mapping[str, Any]], path: str, metric: Optional[str]
) -> Tuple[List[Mapping[str, Any]], str]:
    """(rows, metric): the metric asked for or the first one there is, checked to be in all rows."""
    rows = list(rows)
    metric = metric or next((m for m in METRICS if rows and m in rows[0]), None)
    if metric is None or any(row.get(metric) is None for row in rows) or not rows:
        raise UserError(
            "{}: expected rows that all have {}".format(path, metric or " or ".join(METRICS))
        )
    return rows, metric


def percent_axes() -> Tuple[Figure, Axes]:
    """(Figure, Axes) of a chart whose ordinate is percent."""
    figure, axes = new_figure(_RECTANGLE)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    return figure, axes


def close_range(axes: Axes, values: Sequence[float]) -> None:
    """Points need no zero line, so the axis holds what they span."""
    room = 0.08 * (max(values) - min(values)) + 1.0
    axes.set_ylim(max(0, min(values) - room), max(values) + room)


def whisker(axes: Axes, x: float, bounds: Optional[Sequence[float]], colour: str) -> None:
    """The interval (low, high) as an upright line, or nothing for ``None``."""
    if bounds is None:
        return
    low, high = (float(bound) for bound in bounds)
    axes.plot([x, x], [low, high], color=colour, lw=1.2, alpha=0.7, zorder=4, label="_whisker")


def shortened(name: str, longest: int) -> str:
    """``name``, cut where it has more than that many characters."""
    return name if len(name) <= longest else name[: longest - 1] + "\u2026"


def shown_values(rows: Iterable[Mapping[str, Any]], metric: str) -> List[float]:
    """list of float: the values of all rows and the ends of their intervals."""
    values = [float(row[metric]) for row in rows]
    return values + [float(v) for row in rows for v in row.get(metric + "_interval") or ()]
