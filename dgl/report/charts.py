"""Charts of accuracy: by layer, by binarization threshold, and by alpha.

CAM, the baseline, is the dashed dark line. Every chart is a PNG, 1600 pixels wide, written to ``path``.
"""

import math
from typing import Any, Mapping, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from dgl.evaluation.layer_fusion import entry_name
from dgl.report.chart_style import (
    CAM_COLOR,
    INK,
    MARKERS,
    QUIET,
    WIDTH,
    close_range,
    ink_on,
    line_styles,
    new_figure,
    percent_chart,
    save_figure,
    shortened,
    shown_values,
    styled,
    whisker,
)
from dgl.report.tables import HEADINGS, layers_and_methods

Rows = Sequence[Mapping[str, Any]]

# The gradient of the loss at alpha, by TensorFlow's fused kernel and by exact calculus.
SEMANTICS = {
    "kernel": "as TensorFlow's kernel has it: p \u2212 \u03b1\u00b7y",
    "exact": "exact gradient: \u03b1\u00b7(p \u2212 y)",
}

_GROUP = 0.74  # fraction of a layer's width that its bars take
# One hue from light to dark, which reads the same to color-blind readers and in gray.
_SEQUENTIAL = LinearSegmentedColormap.from_list(
    "blues", ["#EFF5FA", "#56A0D3", "#0072B2", "#002D4D"]
)


def layer_bars(rows: Rows, path: str, metric: str) -> None:
    """Accuracy by layer: a group of bars per layer, a bar per method, CAM as a horizontal line.

    A row's ``<metric>_interval`` (low, high) is drawn as a whisker.

    Args:
        rows: dicts with ``method``, ``layer`` (str) and the metric (float, percent). Layers stay
            in order of first appearance.
        metric: a key of :data:`~dgl.report.tables.HEADINGS`.
    """
    bars, lines = _apart_from_cam(rows)
    layers, methods = layers_and_methods(bars)
    width = _GROUP / max(1, len(methods))
    found = {(row["method"], row["layer"]) for row in bars}
    groups = [[method for method in methods if (method, layer) in found] for layer in layers]
    with percent_chart(path, f"{HEADINGS[metric]} (%)") as axes:
        for method, (color, _, _) in zip(methods, line_styles(methods)):
            own = [row for row in bars if row["method"] == method]
            places = [layers.index(row["layer"]) for row in own]
            # A layer's bars are centered over its name, however many methods it has.
            x = [
                place + (groups[place].index(method) - (len(groups[place]) - 1) / 2.0) * width
                for place in places
            ]
            y = [float(row[metric]) for row in own]
            axes.bar(x, y, min(0.5, width * 0.94), color=color, label=method)
            for left, row in zip(x, own):
                whisker(axes, left, row.get(metric + "_interval"), INK)
                if len(bars) <= 16:
                    _value(axes, left, row, metric, 11 if len(bars) <= 10 else 9)
        _across(axes, lines, metric)
        _layer_axis(axes, layers)
        axes.set_ylim(0, min(109.0, max(shown_values(rows, metric) + [1.0]) * 1.15))
        axes.grid(False, axis="x")


def layer_profile(rows: Rows, path: str, metric: str, with_bands: bool = False) -> None:
    """Accuracy by layer as a line per method, for more rows than bars can show.

    As :func:`layer_bars`; ``with_bands`` draws the intervals of a method that has them at every layer.
    """
    points, across = _apart_from_cam(rows)
    layers, methods = layers_and_methods(points)
    with percent_chart(path, f"{HEADINGS[metric]} (%)") as axes:
        for method, (color, dash, marker) in zip(methods, line_styles(methods)):
            own = sorted(
                (row for row in points if row["method"] == method),
                key=lambda row: layers.index(row["layer"]),
            )
            x = [layers.index(row["layer"]) for row in own]
            y = [float(row[metric]) for row in own]
            bands = [row.get(metric + "_interval") for row in own]
            if with_bands and all(bands):
                axes.fill_between(x, *zip(*bands), color=color, alpha=0.15, linewidth=0)
            style = {"mec": "white", "mew": 1.0, "ms": 7, "lw": 1.8}
            axes.plot(x, y, color=color, linestyle=dash, marker=marker, label=method, **style)
        _across(axes, across, metric)
        _layer_axis(axes, layers)
        close_range(axes, [float(row[metric]) for row in rows])


def _apart_from_cam(rows: Rows) -> Tuple[Rows, Rows]:
    """(other rows, rows of CAM to draw as horizontal lines because it has one layer)."""
    cam = [row for row in rows if row["method"] == "cam"]
    if len(cam) > 2:
        return rows, []
    return [row for row in rows if row["method"] != "cam"], cam


def _across(axes: Axes, lines: Rows, metric: str) -> None:
    for row in lines:
        value = float(row[metric])
        label = "{}  {:.1f}".format(entry_name((row["method"], row["layer"])), value)
        axes.axhline(value, color=CAM_COLOR, ls="--", lw=1.8, label=label, zorder=3)


def _value(axes: Axes, x: float, row: Mapping[str, Any], metric: str, size: int) -> None:
    """Write the number above a bar, on white so that no line crosses it."""
    top = max(shown_values([row], metric))
    axes.annotate(
        f"{row[metric]:.1f}",
        (x, top),
        (0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=size,
        zorder=6,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
    )


def _layer_axis(axes: Axes, layers: Sequence[str]) -> None:
    names = [shortened(layer, 24) for layer in layers]
    # A character is about 0.1 inch wide at this size.
    crowded = any(0.1 * len(name) > 0.9 * WIDTH / len(names) for name in names)
    axes.set_xlim(-0.5, max(len(names), 1) - 0.5)
    axes.set_xticks(range(len(names)))
    axes.set_xticklabels(names, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.tick_params(axis="x", length=0)


def layer_method_matrix(rows: Rows, path: str, metric: str) -> None:
    """Accuracy of every method (column) at every layer (row) as a heat map with its numbers.

    Both are in order of first appearance. The best layer of each method is framed.

    Args:
        rows: dicts with ``method``, ``layer`` (str) and the metric (float, percent; ``None`` or NaN
            if missing).
    """
    layers, methods = layers_and_methods(rows)
    table = np.full((len(layers), len(methods)), np.nan)
    for row in rows:
        value = row.get(metric)
        if value is not None:
            table[layers.index(row["layer"]), methods.index(row["method"])] = value
    low, high = np.nanmin(table), np.nanmax(table)
    high = high if high > low else low + 1.0
    cell = (min(1.15, 6.2 / len(methods)), 0.34)
    size = (cell[0] * len(methods), cell[1] * len(layers))
    # The axes keep their size in inches; labels beside them are added when the file is cropped.
    height = size[1] + 1.6
    box = [0.18, 1.2 / height, size[0] / WIDTH, size[1] / height]
    with styled():
        figure, axes = new_figure(box, height=height)
        image = axes.imshow(
            np.ma.masked_invalid(table), cmap=_SEQUENTIAL, vmin=low, vmax=high, aspect="auto"
        )
        font = 11 if cell[0] > 0.6 else 10
        for (y, x), value in np.ndenumerate(table):
            if np.isfinite(value):
                ink = ink_on(_SEQUENTIAL((value - low) / (high - low)))
                axes.text(x, y, f"{value:.1f}", ha="center", va="center", color=ink, size=font)
        for x, column in enumerate(table.T):
            if np.isfinite(column).any() and len(layers) > 1:
                best = (x - 0.46, int(np.nanargmax(column)) - 0.44)
                axes.add_patch(Rectangle(best, 0.92, 0.88, fill=False, ec="#D55E00", lw=2.2))
        axes.set_yticks(range(len(layers)))
        axes.set_yticklabels([shortened(layer, 24) for layer in layers], size=11)
        axes.set_xticks(range(len(methods)))
        names = [shortened(method, 24) for method in methods]
        # A character is about 0.1 inch wide at this size.
        wide = max(len(name) for name in names) * 0.1 > cell[0]
        axes.xaxis.tick_top()
        axes.set_xticklabels(
            names, size=11, rotation=35 if wide else 0, ha="left" if wide else "center"
        )
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(len(methods) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(layers) - 1) + 0.5, minor=True)
        axes.grid(True, which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        bar = figure.add_axes([box[0] + box[2] + 0.025, box[1], 0.018, box[3]])
        figure.colorbar(image, cax=bar)
        bar.set_ylabel(f"{HEADINGS[metric]} (%)", size=11, labelpad=8)
        bar.tick_params(labelsize=10, length=0)
        bar.spines[:].set_visible(False)
        save_figure(figure, path)


def threshold_curves(curves: Rows, path: str) -> None:
    """Accuracy by binarization threshold, a line per method and layer.

    ``curves`` are dicts with ``method``, ``layer`` (str), ``thresholds`` (list of float in [0, 1]) and
    ``curve`` (list of float, accuracy in percent, of the same length).
    """
    # Below the axes, where no line crosses it.
    legend = {"loc": "upper left", "bbox_to_anchor": (0, -0.17), "ncol": 2, "borderaxespad": 0}
    legend["fontsize"] = 12 if len(curves) < 7 else 11
    with percent_chart(path, "box accuracy (%)", legend) as axes:
        for row, (color, dash, _) in zip(curves, line_styles(row["method"] for row in curves)):
            x, y = np.asarray(row["thresholds"], float), np.asarray(row["curve"], float)
            best = int(np.argmax(y))
            name = entry_name((row["method"], row["layer"]))
            label = f"{name}  {y[best]:.1f} at {x[best]:.2f}"
            axes.plot(x, y, color=color, linestyle=dash, lw=2, label=label)
            axes.plot(x[best], y[best], marker="o", ms=8, mfc=color, mec="white", mew=1.5, zorder=5)
        axes.set_xlabel("binarization threshold (share of the map's maximum)")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_title(
            "best point of each line marked; beside its name: accuracy at threshold",
            loc="left",
            fontsize=11,
            color=QUIET,
        )


def alpha_chart(rows: Rows, path: str, metric: str) -> None:
    """Accuracy by alpha, the target's score in the loss gradient, on a log axis.

    Infinity is at the right edge, beyond a gap. The two ``semantics`` are explained in
    :data:`SEMANTICS`.

    Args:
        rows: dicts with ``alpha`` (float > 0, infinity or ``"inf"``), ``semantics`` (a key of
            :data:`SEMANTICS`), the metric (percent) and its ``_interval`` if known.
    """
    rows = [dict(row, alpha=float(row["alpha"])) for row in rows]
    finite = sorted({row["alpha"] for row in rows if math.isfinite(row["alpha"])} | {0.1, 100.0})
    ends = math.log10(finite[0]), math.log10(finite[-1])
    infinity = ends[1] + 0.16 * (ends[1] - ends[0])
    infinite = any(math.isinf(row["alpha"]) for row in rows)
    with percent_chart(path, f"{HEADINGS[metric]} (%)") as axes:
        names = [name for name in SEMANTICS if any(row["semantics"] == name for row in rows)]
        for index, (name, (color, dash, _)) in enumerate(zip(names, line_styles(names))):
            own = sorted(
                (row for row in rows if row["semantics"] == name), key=lambda row: row["alpha"]
            )
            # Side by side, so that whiskers at the same alpha do not overlap.
            shift = (index - (len(names) - 1) / 2.0) * 0.03
            x = [infinity if math.isinf(r["alpha"]) else math.log10(r["alpha"]) for r in own]
            x = [value + shift for value in x]
            y = [float(row[metric]) for row in own]
            # The line ends before infinity.
            joined = sum(math.isfinite(row["alpha"]) for row in own)
            axes.plot(x[:joined], y[:joined], color=color, ls=dash, lw=2)
            style = {"mec": "white", "mew": 1.0, "ms": 8, "zorder": 5, "marker": MARKERS[index]}
            axes.plot(x, y, color=color, ls="", label=SEMANTICS[name], **style)
            for position, row in zip(x, own):
                whisker(axes, position, row.get(metric + "_interval"), color)
        ticks = [math.log10(value) for value in finite]
        axes.set_xticks(ticks + [infinity] * infinite)
        axes.set_xticklabels([f"{v:g}" for v in finite] + ["\u221e"] * infinite)
        axes.set_xlim(ends[0] - 0.1, (infinity if infinite else ends[1]) + 0.1)
        if infinite:
            axes.axvline((ends[1] + infinity) / 2.0, color="#C5CAD1", ls=":", lw=1.5)
        axes.set_xlabel("\u03b1 (log scale)")
        close_range(axes, shown_values(rows, metric))
