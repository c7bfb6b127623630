"""Charts by layer: bars, or lines where there are too many bars.

CAM, which everything is compared with, is the dashed dark line.
"""

from typing import Any, Mapping, Optional, Sequence

from dgl.evaluation.entries import entry_name
from dgl.rendering.chart_axes import (
    MARKERS,
    METRICS,
    close_range,
    measured,
    percent_axes,
    shortened,
    shown_values,
    whisker,
)
from dgl.rendering.chart_style import (
    CAM_COLOUR,
    INK,
    PALETTE,
    legend_above,
    line_style,
    save_figure,
    styled,
)
from dgl.rendering.columns import layers_and_methods

_GROUP = 0.74  # share of the room of a layer that its bars take


def layer_bars(rows: Sequence[Mapping[str, Any]], path: str, metric: Optional[str] = None) -> None:
    """Accuracy by layer: a group of bars a layer, a bar a method, CAM as a line across.

    A row's ``<metric>_interval`` (low, high), where it has one, is drawn as a whisker.

    Args:
        rows: sequence of dicts with ``method``, ``layer`` (str) and the metric (float, percent).
            Layers stay in the order they come in.
        path: str, the PNG to write (1600 pixels wide).
        metric: a key of :data:`~dgl.rendering.chart_axes.METRICS`; ``None`` takes the first one that
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
            colour, _ = line_style(index)
            axes.bar(x, y, min(0.5, width * 0.94), color=colour, label=method)
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
            colour, dash = (CAM_COLOUR, "--") if cam else line_style(index)
            own = sorted(
                (layers.index(row["layer"]), float(row[metric]))
                for row in points
                if row["method"] == method
            )
            x, y = zip(*own)
            marker = MARKERS[index // len(PALETTE) % len(MARKERS)]
            style = {"mec": "white", "mew": 1.0, "ms": 7, "lw": 1.8}
            axes.plot(x, y, color=colour, linestyle=dash, marker=marker, label=method, **style)
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
        axes.axhline(value, color=CAM_COLOUR, ls="--", lw=1.8, label=label, zorder=3)


def _value(axes, x, row, metric, size):
    """The number over a bar, on white so that no line strikes it through."""
    top = max(shown_values([row], metric))
    axes.annotate(
        "{:.1f}".format(row[metric]),
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
