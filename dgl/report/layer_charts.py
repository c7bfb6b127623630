"""Charts by layer: bars, or lines where there are too many bars.

CAM, which everything is compared with, is the dashed dark line.
"""

from typing import Any, Mapping, Optional, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from dgl.errors import UserError
from dgl.evaluation.fusion import entry_name
from dgl.report.chart_style import (
    CAM_COLOR,
    INK,
    MARKERS,
    METRICS,
    PALETTE,
    WIDTH,
    close_range,
    ink_on,
    legend_above,
    line_style,
    measured,
    new_figure,
    percent_axes,
    save_figure,
    shortened,
    shown_values,
    styled,
    whisker,
)
from dgl.report.columns import layers_and_methods

_GROUP = 0.74  # share of the room of a layer that its bars take


def layer_bars(rows: Sequence[Mapping[str, Any]], path: str, metric: Optional[str] = None) -> None:
    """Accuracy by layer: a group of bars a layer, a bar a method, CAM as a line across.

    A row's ``<metric>_interval`` (low, high), where it has one, is drawn as a whisker.

    Args:
        rows: sequence of dicts with ``method``, ``layer`` (str) and the metric (float, percent).
            Layers stay in the order they come in.
        path: str, the PNG to write (1600 pixels wide).
        metric: a key of :data:`~dgl.report.chart_style.METRICS`; ``None`` takes the first one that
            the rows have.

    Raises:
        UserError: no rows, rows without the metric, or nowhere to write.
    """
    rows, metric = measured(rows, path, metric)
    bars, lines = _apart_from_cam(rows)
    layers, methods = layers_and_methods(bars)
    width = _GROUP / max(1, len(methods))
    with styled():
        figure, axes = percent_axes()
        for index, method in enumerate(methods):
            offset = (index - (len(methods) - 1) / 2.0) * width
            own = [row for row in bars if row["method"] == method]
            x = [layers.index(row["layer"]) + offset for row in own]
            y = [float(row[metric]) for row in own]
            color, _ = line_style(index)
            axes.bar(x, y, min(0.5, width * 0.94), color=color, label=method)
            for left, row in zip(x, own):
                whisker(axes, left, row.get(metric + "_interval"), INK)
            if len(bars) <= 16:
                for left, row in zip(x, own):
                    _value(axes, left, row, metric, 11 if len(bars) <= 10 else 9)
        _across(axes, lines, metric)
        if not bars:
            axes.set_xlim(0, 1)
        _layer_axis(axes, layers)
        _percent_range(axes, rows, metric)
        legend_above(axes)
        save_figure(figure, path)


def layer_profile(
    rows: Sequence[Mapping[str, Any]], path: str, metric: Optional[str] = None
) -> None:
    """Accuracy by layer where there are too many bars to tell apart: a line a method.

    Args and errors as :func:`layer_bars`; no interval is drawn.
    """
    rows, metric = measured(rows, path, metric)
    points, across = _apart_from_cam(rows)
    layers, methods = layers_and_methods(points)
    with styled():
        figure, axes = percent_axes()
        index = 0
        for method in methods:
            cam = method == "cam"
            color, dash = (CAM_COLOR, "--") if cam else line_style(index)
            own = sorted(
                (layers.index(row["layer"]), float(row[metric]))
                for row in points
                if row["method"] == method
            )
            x, y = zip(*own)
            marker = MARKERS[index // len(PALETTE) % len(MARKERS)]
            style = {"mec": "white", "mew": 1.0, "ms": 7, "lw": 1.8}
            axes.plot(x, y, color=color, linestyle=dash, marker=marker, label=method, **style)
            index += 0 if cam else 1
        _across(axes, across, metric)
        _layer_axis(axes, layers)
        axes.set_xlim(-0.4, max(len(layers), 1) - 0.6)
        axes.set_ylabel(METRICS.get(metric, metric))
        axes.grid(True)
        close_range(axes, [float(row[metric]) for row in rows])
        legend_above(axes)
        save_figure(figure, path)


def _apart_from_cam(rows):
    """(other rows, CAM's): CAM is drawn across where it is at one layer, which is its only one."""
    cam = [row for row in rows if row["method"] == "cam"]
    if len(cam) > 2:
        return rows, []
    return [row for row in rows if row["method"] != "cam"], cam


def _across(axes, lines, metric):
    for row in lines:
        value = float(row[metric])
        label = "{}  {:.1f}".format(entry_name((row["method"], row["layer"])), value)
        axes.axhline(value, color=CAM_COLOR, ls="--", lw=1.8, label=label, zorder=3)


def _value(axes, x, row, metric, size):
    """The number over a bar, on white so that no line strikes it through."""
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


def _percent_range(axes, rows, metric):
    axes.set_ylabel(METRICS.get(metric, metric))
    axes.set_ylim(0, min(109.0, max(shown_values(rows, metric) + [1.0]) * 1.15))
    axes.grid(True, axis="y")


def _layer_axis(axes, layers):
    crowded = sum(len(layer) for layer in layers) > 70
    axes.set_xticks(range(len(layers)))
    axes.set_xticklabels(
        [shortened(layer, 24) for layer in layers],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.tick_params(axis="x", length=0)


# The layer-by-method matrix: accuracy of every method at every layer as a heat map.

# One hue from light to dark, so that it reads the same to color-blind eyes and in gray.
_SEQUENTIAL = LinearSegmentedColormap.from_list(
    "blues", ["#EFF5FA", "#56A0D3", "#0072B2", "#002D4D"]
)


def layer_method_matrix(rows: Sequence[Mapping[str, Any]], path: str, metric: str) -> None:
    """Accuracy of every method at every layer, as a heat map with its numbers.

    Layers are rows and methods are columns, both in order of first appearance; a pair that was not
    measured stays blank. The best layer of each method is framed.

    Args:
        rows: sequence of dicts with ``method``, ``layer`` (str) and the metric (float, percent;
            ``None`` or NaN where there is none).
        path: str, the PNG to write.
        metric: str, the key of the figure.

    Raises:
        UserError: no row has the metric, or nowhere to write.
    """
    rows = list(rows)
    layers, methods = layers_and_methods(rows)
    table = np.full((len(layers), len(methods)), np.nan)
    for row in rows:
        value = row.get(metric)
        if value is not None:
            table[layers.index(row["layer"]), methods.index(row["method"])] = value
    if not np.isfinite(table).any():
        raise UserError(f"{path}: expected rows that have {metric}")
    low, high = np.nanmin(table), np.nanmax(table)
    high = high if high > low else low + 1.0
    cell = (min(1.15, 6.2 / len(methods)), 0.34)
    size = (cell[0] * len(methods), cell[1] * len(layers))
    # The axes keep their size in inches; what stands beside them is added when the file is cut.
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
        # About 0.1 inch a character at this size.
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
        bar.set_ylabel(METRICS.get(metric, metric), size=11, labelpad=8)
        bar.tick_params(labelsize=10, length=0)
        bar.spines[:].set_visible(False)
        save_figure(figure, path)
