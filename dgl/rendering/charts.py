"""Charts of an evaluation: accuracy by threshold, by layer, by layer and method, by alpha.

CAM, which everything is compared with, is the dashed dark line of each.
"""

import math
from collections import OrderedDict

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from dgl.errors import UserError
from dgl.rendering.chart_style import (
    CAM_COLOUR,
    INK,
    PALETTE,
    QUIET,
    WIDTH,
    ink_on,
    legend_above,
    line_style,
    new_figure,
    save_figure,
    styled,
)
from dgl.rendering.columns import entry_name, layers_and_methods

METRICS = OrderedDict(
    max_box_acc="MaxBoxAcc (%)",
    gt_known="GT-known localization (%)",
    top1_loc="Top-1 localization (%)",
    top5_loc="Top-5 localization (%)",
    max_box_acc_v2="MaxBoxAccV2 (%)",
    pxap="PxAP (%)",
    box_acc="box accuracy at the tuned threshold (%)",
)
# Two gradients of the loss at alpha: of the fused kernel, and of exact calculus.
SEMANTICS = OrderedDict(
    kernel="as TensorFlow's kernel has it: p \u2212 \u03b1\u00b7y",
    exact="exact gradient: \u03b1\u00b7(p \u2212 y)",
)

_RECTANGLE = [0.085, 0.14, 0.895, 0.74]
# One hue from light to dark, so that it reads the same to colour-blind eyes and in grey.
_SEQUENTIAL = LinearSegmentedColormap.from_list(
    "blues", ["#EFF5FA", "#56A0D3", "#0072B2", "#002D4D"]
)
_MARKERS = "os^D"
_GROUP = 0.74  # share of the room of a layer that its bars take


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
    with styled():
        figure, axes = _percent_axes()
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
            colour, dash = (CAM_COLOUR, "--") if cam else line_style(index)
            index += 0 if cam else 1
            best = int(np.argmax(y))
            label = "{}  {:.1f} at {:.2f}".format(entry_name(row), y[best], x[best])
            axes.plot(x, y, color=colour, linestyle=dash, lw=2, label=label)
            axes.plot(
                x[best], y[best], marker="o", ms=8, mfc=colour, mec="white", mew=1.5, zorder=5
            )
        axes.set_xlabel("binarisation threshold (share of the map's maximum)")
        axes.set_ylabel("box accuracy (%)")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.grid(True)
        _title(axes, "best point of each line marked; beside its name: accuracy at threshold")
        # Below the axes, where no line can run through it; its rows grow downwards.
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(0, -0.17),
            ncol=2,
            fontsize=12 if len(curves) < 7 else 11,
            borderaxespad=0,
        )
        save_figure(figure, path)


def layer_bars(rows, path, metric=None):
    """Accuracy by layer: a group of bars a layer, a bar a method, CAM as a line across.

    A row's ``<metric>_interval`` (low, high), where it has one, is drawn as a whisker.

    Args:
        rows: sequence of dicts with ``method``, ``layer`` (str) and the metric (float, percent).
            Layers stay in the order they come in.
        path: str, the PNG to write (1600 pixels wide).
        metric: a key of :data:`METRICS`; ``None`` takes the first one that the rows have.

    Raises:
        UserError: no rows, rows without the metric, or nowhere to write.
    """
    rows, metric = _measured(rows, path, metric)
    bars, lines = _apart_from_cam(rows)
    layers, methods = layers_and_methods(bars)
    width = _GROUP / max(1, len(methods))
    with styled():
        figure, axes = _percent_axes()
        for index, method in enumerate(methods):
            offset = (index - (len(methods) - 1) / 2.0) * width
            own = [row for row in bars if row["method"] == method]
            x = [layers.index(row["layer"]) + offset for row in own]
            y = [float(row[metric]) for row in own]
            colour, _ = line_style(index)
            axes.bar(x, y, min(0.5, width * 0.94), color=colour, label=method)
            for left, row in zip(x, own):
                _whisker(axes, left, row.get(metric + "_interval"), INK)
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


def layer_profile(rows, path, metric=None):
    """Accuracy by layer where there are too many bars to tell apart: a line a method.

    Args and errors as :func:`layer_bars`; no interval is drawn.
    """
    rows, metric = _measured(rows, path, metric)
    points, across = _apart_from_cam(rows)
    layers, methods = layers_and_methods(points)
    with styled():
        figure, axes = _percent_axes()
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
            marker = _MARKERS[index // len(PALETTE) % len(_MARKERS)]
            style = {"mec": "white", "mew": 1.0, "ms": 7, "lw": 1.8}
            axes.plot(x, y, color=colour, linestyle=dash, marker=marker, label=method, **style)
            index += 0 if cam else 1
        _across(axes, across, metric)
        _layer_axis(axes, layers)
        axes.set_xlim(-0.4, max(len(layers), 1) - 0.6)
        axes.set_ylabel(METRICS.get(metric, metric))
        axes.grid(True)
        _close_range(axes, [float(row[metric]) for row in rows])
        legend_above(axes)
        save_figure(figure, path)


def layer_method_matrix(rows, path, metric):
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
        raise UserError("{}: expected rows that have {}".format(path, metric))
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
                axes.text(
                    x, y, "{:.1f}".format(value), ha="center", va="center", color=ink, size=font
                )
        for x, column in enumerate(table.T):
            if np.isfinite(column).any() and len(layers) > 1:
                best = (x - 0.46, int(np.nanargmax(column)) - 0.44)
                axes.add_patch(Rectangle(best, 0.92, 0.88, fill=False, ec="#D55E00", lw=2.2))
        axes.set_yticks(range(len(layers)))
        axes.set_yticklabels([_short(layer, 24) for layer in layers], size=11)
        axes.set_xticks(range(len(methods)))
        names = [_short(method, 24) for method in methods]
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


def alpha_chart(rows, path, metric=None):
    """Accuracy against alpha, the weight of the target in the loss gradient, on a log axis.

    Alpha at infinity stands at the right edge, beyond a gap. The two ``semantics`` are the gradient of
    TensorFlow's fused loss, which alpha changes, and that of exact calculus, which it does not.

    Args:
        rows: sequence of dicts with ``alpha`` (float > 0, infinity or ``"inf"``), ``semantics``
            (``"kernel"`` or ``"exact"``), the metric (percent) and its ``_interval`` if known.
        path: str, the PNG to write (1600 pixels wide).
        metric: a key of :data:`METRICS`; ``None`` takes the first one that the rows have.

    Raises:
        UserError: no rows, rows without the metric, an alpha that is not above 0, or nowhere to
            write.
    """
    rows, metric = _measured(rows, path, metric)
    rows = [dict(row, alpha=float(row["alpha"])) for row in rows]
    wrong = [row["alpha"] for row in rows if not row["alpha"] > 0]
    if wrong:
        raise UserError("{}: alpha {}, expected a number above 0".format(path, wrong[0]))
    finite = sorted({row["alpha"] for row in rows if math.isfinite(row["alpha"])} | {0.1, 100.0})
    ends = math.log10(finite[0]), math.log10(finite[-1])
    infinity = ends[1] + 0.16 * (ends[1] - ends[0])
    infinite = any(math.isinf(row["alpha"]) for row in rows)
    with styled():
        figure, axes = _percent_axes()
        names = list(OrderedDict.fromkeys(row.get("semantics") or "kernel" for row in rows))
        names.sort(key=lambda name: list(SEMANTICS).index(name) if name in SEMANTICS else 9)
        for index, name in enumerate(names):
            own = [row for row in rows if (row.get("semantics") or "kernel") == name]
            own.sort(key=lambda row: row["alpha"])
            colour, dash = line_style(index)
            # Side by side where both have the same alpha, or one's whisker covers the other's.
            shift = (index - (len(names) - 1) / 2.0) * 0.03
            x = [infinity if math.isinf(r["alpha"]) else math.log10(r["alpha"]) for r in own]
            x = [value + shift for value in x]
            y = [float(row[metric]) for row in own]
            joined = [i for i, row in enumerate(own) if math.isfinite(row["alpha"])]
            label = SEMANTICS.get(name, name)
            axes.plot([x[i] for i in joined], [y[i] for i in joined], color=colour, ls=dash, lw=2)
            style = {"mec": "white", "mew": 1.0, "ms": 8, "zorder": 5}
            axes.plot(
                x,
                y,
                color=colour,
                ls="",
                marker=_MARKERS[index % len(_MARKERS)],
                label=label,
                **style,
            )
            for position, row in zip(x, own):
                _whisker(axes, position, row.get(metric + "_interval"), colour)
        ticks = [math.log10(value) for value in finite]
        axes.set_xticks(ticks + [infinity] * infinite)
        axes.set_xticklabels(["{:g}".format(v) for v in finite] + ["\u221e"] * infinite)
        axes.set_xlim(ends[0] - 0.1, (infinity if infinite else ends[1]) + 0.1)
        if infinite:
            axes.axvline((ends[1] + infinity) / 2.0, color="#C5CAD1", ls=":", lw=1.5)
        axes.set_xlabel("\u03b1 (log scale)")
        axes.grid(True)
        axes.set_ylabel(METRICS.get(metric, metric))
        shown = [float(row[metric]) for row in rows]
        shown += [float(v) for row in rows for v in row.get(metric + "_interval") or ()]
        _close_range(axes, shown)
        legend_above(axes)
        save_figure(figure, path)


def _measured(rows, path, metric):
    """(rows, metric): the metric asked for or the first one there is, checked to be in all rows."""
    rows = list(rows)
    metric = metric or next((m for m in METRICS if rows and m in rows[0]), None)
    if metric is None or any(row.get(metric) is None for row in rows) or not rows:
        raise UserError(
            "{}: expected rows that all have {}".format(path, metric or " or ".join(METRICS))
        )
    return rows, metric


def _apart_from_cam(rows):
    """(other rows, CAM's): CAM is drawn across where it is at one layer, which is its only one."""
    cam = [row for row in rows if row["method"] == "cam"]
    if len(cam) > 2:
        return rows, []
    return [row for row in rows if row["method"] != "cam"], cam


def _across(axes, lines, metric):
    for row in lines:
        value = float(row[metric])
        label = "{}  {:.1f}".format(entry_name(row), value)
        axes.axhline(value, color=CAM_COLOUR, ls="--", lw=1.8, label=label, zorder=3)


def _whisker(axes, x, bounds, colour):
    if bounds is None:
        return
    low, high = (float(bound) for bound in bounds)
    axes.plot([x, x], [low, high], color=colour, lw=1.2, alpha=0.7, zorder=4, label="_whisker")


def _value(axes, x, row, metric, size):
    """The number over a bar, on white so that no line strikes it through."""
    top = max([float(row[metric])] + [float(v) for v in row.get(metric + "_interval") or ()])
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


def _percent_axes():
    figure, axes = new_figure(_RECTANGLE)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    return figure, axes


def _percent_range(axes, rows, metric):
    axes.set_ylabel(METRICS.get(metric, metric))
    shown = [float(row[metric]) for row in rows]
    shown += [float(v) for row in rows for v in row.get(metric + "_interval") or ()]
    axes.set_ylim(0, min(109.0, max(shown + [1.0]) * 1.15))
    axes.grid(True, axis="y")


def _close_range(axes, values):
    """Points need no zero line, so the axis holds what they span."""
    room = 0.08 * (max(values) - min(values)) + 1.0
    axes.set_ylim(max(0, min(values) - room), max(values) + room)


def _layer_axis(axes, layers):
    crowded = sum(len(layer) for layer in layers) > 70
    axes.set_xticks(range(len(layers)))
    axes.set_xticklabels(
        [_short(layer, 24) for layer in layers],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.tick_params(axis="x", length=0)


def _title(axes, text):
    axes.set_title(text, loc="left", fontsize=11, color=QUIET)


def _short(name, longest):
    return name if len(name) <= longest else name[: longest - 1] + "\u2026"
