"""Charts of an evaluation: accuracy by threshold, accuracy by layer.

Drawn on Figure objects with the Agg backend; pyplot and its global state are never touched. The
colours are Okabe and Ito's, which stay apart for colour-blind readers; once all are used, they come
again with another dash.
"""

import io
from collections import OrderedDict

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dgl.errors import UserError
from dgl.files import write_atomically

METRICS = OrderedDict(
    [
        ("max_box_acc", "MaxBoxAcc (%)"),
        ("gt_known", "GT-known localization (%)"),
    ]
)

_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B")
_DASHES = ("-", "--", "-.", ":")
_CAM_COLOUR = "#333333"
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "axes.edgecolor": "#8A929C",
    "axes.labelcolor": "#23272E",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E3E6EA",
    "grid.linewidth": 0.8,
    "text.color": "#23272E",
    "text.parse_math": False,
    "xtick.color": "#4B535E",
    "ytick.color": "#4B535E",
    "legend.frameon": False,
}
_SIZE = (8.0, 4.4)
_DPI = 200


def threshold_curves(curves, path):
    """Accuracy against the binarisation threshold, a line for each method at each layer.

    Args:
        curves: sequence of dicts with ``method``, ``layer`` (str), ``thresholds`` (list of float
            in [0, 1]) and ``curve`` (list of float, accuracy in percent, as long).
        path: str, the PNG to write (1600 pixels wide).

    Raises:
        UserError: no curve, a curve and its thresholds differ in length, or nowhere to write.
    """
    curves = [row for row in curves if len(row["curve"])]
    if not curves:
        raise UserError("{}: expected at least one curve to draw".format(path))
    with matplotlib.rc_context(_known(_STYLE)):
        figure, axes = _figure()
        index = 0
        for row in curves:
            x, y = np.asarray(row["thresholds"], float), np.asarray(row["curve"], float)
            if x.shape != y.shape or x.ndim != 1:
                raise UserError(
                    "{}: expected as many thresholds as points, got {} and {}".format(
                        entry_name(row), x.size, y.size
                    )
                )
            cam = row["method"] == "cam"
            colour = _CAM_COLOUR if cam else _PALETTE[index % len(_PALETTE)]
            dash = _DASHES[index // len(_PALETTE) % len(_DASHES)]
            index += 0 if cam else 1
            best = int(np.argmax(y))
            label = "{}  {:.1f} at {:.2f}".format(entry_name(row), y[best], x[best])
            axes.plot(x, y, color=colour, linestyle="--" if cam else dash, lw=2, label=label)
            axes.plot(
                x[best], y[best], marker="o", ms=8, mfc=colour, mec="white", mew=1.5, zorder=5
            )
        axes.set_xlabel("binarisation threshold (share of the map's maximum)")
        axes.set_ylabel("box accuracy (%)")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.grid(True)
        axes.set_title(
            "best point of each line marked; beside its name: accuracy at threshold",
            loc="left",
            fontsize=11,
            color="#4B535E",
        )
        # Below the axes, where no line can run through it; its rows grow downwards.
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(0, -0.17),
            ncol=2,
            fontsize=12 if len(curves) < 7 else 11,
            borderaxespad=0,
        )
        _save(figure, path)


def layer_bars(rows, path, metric=None):
    """Accuracy by layer: a group of bars a layer, a bar a method, CAM as a line across.

    Args:
        rows: sequence of dicts with ``method``, ``layer`` (str) and the metric (float, percent).
            Layers stay in the order they come in.
        path: str, the PNG to write (1600 pixels wide).
        metric: ``"max_box_acc"`` or ``"gt_known"``; ``None`` takes the one the rows have.

    Raises:
        UserError: no rows, rows without the metric, or nowhere to write.
    """
    rows = list(rows)
    metric = metric or next((m for m in METRICS if rows and m in rows[0]), None)
    if metric is None or any(metric not in row for row in rows):
        raise UserError("{}: expected rows that all have {}".format(path, " or ".join(METRICS)))
    bars = [row for row in rows if row["method"] != "cam"]
    lines = [row for row in rows if row["method"] == "cam"]
    layers = list(OrderedDict.fromkeys(row["layer"] for row in bars))
    methods = list(OrderedDict.fromkeys(row["method"] for row in bars))
    width = 0.74 / max(1, len(methods))
    with matplotlib.rc_context(_known(_STYLE)):
        figure, axes = _figure()
        for index, method in enumerate(methods):
            offset = (index - (len(methods) - 1) / 2.0) * width
            own = [row for row in bars if row["method"] == method]
            x = [layers.index(row["layer"]) + offset for row in own]
            y = [float(row[metric]) for row in own]
            colour = _PALETTE[index % len(_PALETTE)]
            axes.bar(x, y, min(0.5, width * 0.94), color=colour, label=method)
            small = 11 if len(bars) <= 10 else 9
            if len(bars) <= 16:
                for left, value in zip(x, y):
                    _value(axes, left, value, small)
        for row in lines:
            value = float(row[metric])
            label = "{}  {:.1f}".format(entry_name(row), value)
            axes.axhline(value, color=_CAM_COLOUR, ls="--", lw=1.8, label=label, zorder=3)
        if not bars:
            axes.set_xlim(0, 1)
        axes.set_xticks(range(len(layers)))
        crowded = sum(len(layer) for layer in layers) > 70
        axes.set_xticklabels(
            layers, rotation=30 if crowded else 0, ha="right" if crowded else "center"
        )
        axes.set_ylabel(METRICS.get(metric, metric))
        highest = max([float(row[metric]) for row in rows] + [1.0])
        axes.set_ylim(0, min(109.0, highest * 1.15))
        axes.grid(True, axis="y")
        axes.tick_params(axis="x", length=0)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncol=4,
            fontsize=12,
            borderaxespad=0.3,
            handlelength=1.8,
        )
        _save(figure, path)


def entry_name(row):
    """``method@layer``, the name of an entry in tables, charts and tiles."""
    return "{}@{}".format(row["method"], row["layer"])


def _value(axes, x, value, size):
    """The number over a bar, on white so that the reference line does not strike it through."""
    axes.annotate(
        "{:.1f}".format(value),
        (x, value),
        (0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=size,
        zorder=6,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
    )


def _figure():
    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes([0.085, 0.14, 0.895, 0.74])
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    return figure, axes


def _known(style):
    """The part of a style that this matplotlib has (``text.parse_math`` came with 3.6)."""
    return {name: value for name, value in style.items() if name in matplotlib.rcParams}


def _save(figure, path):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.12)
    write_atomically(path, buffer.getvalue())
