"""Charts over a scale: accuracy by binarization threshold, and by alpha.

CAM, which everything is compared with, is the dashed dark line.
"""

import math
from typing import Any, Mapping, Optional, Sequence

import numpy as np

from dgl.errors import UserError
from dgl.evaluation.fusion import entry_name
from dgl.report.chart_style import (
    CAM_COLOR,
    MARKERS,
    METRICS,
    QUIET,
    close_range,
    legend_above,
    line_style,
    measured,
    percent_axes,
    save_figure,
    shown_values,
    styled,
    whisker,
)

# Two gradients of the loss at alpha: of the fused kernel, and of exact calculus.
SEMANTICS = {
    "kernel": "as TensorFlow's kernel has it: p \u2212 \u03b1\u00b7y",
    "exact": "exact gradient: \u03b1\u00b7(p \u2212 y)",
}


def threshold_curves(curves: Sequence[Mapping[str, Any]], path: str) -> None:
    """Accuracy against the binarization threshold, a line for each method at each layer.

    Args:
        curves: sequence of dicts with ``method``, ``layer`` (str), ``thresholds`` (list of float
            in [0, 1]) and ``curve`` (list of float, accuracy in percent, as long).
        path: str, the PNG to write (1600 pixels wide).

    Raises:
        UserError: no curve, a curve and its thresholds differ in length, or nowhere to write.
    """
    curves = [row for row in curves if len(row["curve"])]
    if not curves:
        raise UserError(f"{path}: expected at least one curve to draw")
    with styled():
        figure, axes = percent_axes()
        index = 0
        for row in curves:
            name = entry_name((row["method"], row["layer"]))
            x, y = np.asarray(row["thresholds"], float), np.asarray(row["curve"], float)
            if x.shape != y.shape or x.ndim != 1:
                raise UserError(
                    f"{name}: expected as many thresholds as points, got {x.size} and {y.size}"
                )
            cam = row["method"] == "cam"
            color, dash = (CAM_COLOR, "--") if cam else line_style(index)
            index += 0 if cam else 1
            best = int(np.argmax(y))
            label = f"{name}  {y[best]:.1f} at {x[best]:.2f}"
            axes.plot(x, y, color=color, linestyle=dash, lw=2, label=label)
            axes.plot(x[best], y[best], marker="o", ms=8, mfc=color, mec="white", mew=1.5, zorder=5)
        axes.set_xlabel("binarization threshold (share of the map's maximum)")
        axes.set_ylabel("box accuracy (%)")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.grid(True)
        axes.set_title(
            "best point of each line marked; beside its name: accuracy at threshold",
            loc="left",
            fontsize=11,
            color=QUIET,
        )
        # Below the axes, where no line can run through it; its rows grow downwards.
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(0, -0.17),
            ncol=2,
            fontsize=12 if len(curves) < 7 else 11,
            borderaxespad=0,
        )
        save_figure(figure, path)


def alpha_chart(rows: Sequence[Mapping[str, Any]], path: str, metric: Optional[str] = None) -> None:
    """Accuracy against alpha, the weight of the target in the loss gradient, on a log axis.

    Alpha at infinity stands at the right edge, beyond a gap. The two ``semantics`` are the gradient of
    TensorFlow's fused loss, which alpha changes, and that of exact calculus, which it does not.

    Args:
        rows: sequence of dicts with ``alpha`` (float > 0, infinity or ``"inf"``), ``semantics``
            (``"kernel"`` or ``"exact"``), the metric (percent) and its ``_interval`` if known.
        path: str, the PNG to write (1600 pixels wide).
        metric: a key of :data:`~dgl.report.chart_style.METRICS`; ``None`` takes the first one that
            the rows have.

    Raises:
        UserError: no rows, rows without the metric, an alpha that is not above 0, or nowhere to
            write.
    """
    rows, metric = measured(rows, path, metric)
    rows = [dict(row, alpha=float(row["alpha"])) for row in rows]
    wrong = [row["alpha"] for row in rows if not row["alpha"] > 0]
    if wrong:
        raise UserError(f"{path}: alpha {wrong[0]}, expected a number above 0")
    finite = sorted({row["alpha"] for row in rows if math.isfinite(row["alpha"])} | {0.1, 100.0})
    ends = math.log10(finite[0]), math.log10(finite[-1])
    infinity = ends[1] + 0.16 * (ends[1] - ends[0])
    infinite = any(math.isinf(row["alpha"]) for row in rows)
    with styled():
        figure, axes = percent_axes()
        names = list(dict.fromkeys(row.get("semantics") or "kernel" for row in rows))
        names.sort(key=lambda name: list(SEMANTICS).index(name) if name in SEMANTICS else 9)
        for index, name in enumerate(names):
            own = [row for row in rows if (row.get("semantics") or "kernel") == name]
            own.sort(key=lambda row: row["alpha"])
            color, dash = line_style(index)
            # Side by side where both have the same alpha, or one's whisker covers the other's.
            shift = (index - (len(names) - 1) / 2.0) * 0.03
            x = [infinity if math.isinf(r["alpha"]) else math.log10(r["alpha"]) for r in own]
            x = [value + shift for value in x]
            y = [float(row[metric]) for row in own]
            joined = [i for i, row in enumerate(own) if math.isfinite(row["alpha"])]
            label = SEMANTICS.get(name, name)
            axes.plot([x[i] for i in joined], [y[i] for i in joined], color=color, ls=dash, lw=2)
            style = {"mec": "white", "mew": 1.0, "ms": 8, "zorder": 5}
            axes.plot(
                x,
                y,
                color=color,
                ls="",
                marker=MARKERS[index % len(MARKERS)],
                label=label,
                **style,
            )
            for position, row in zip(x, own):
                whisker(axes, position, row.get(metric + "_interval"), color)
        ticks = [math.log10(value) for value in finite]
        axes.set_xticks(ticks + [infinity] * infinite)
        axes.set_xticklabels([f"{v:g}" for v in finite] + ["\u221e"] * infinite)
        axes.set_xlim(ends[0] - 0.1, (infinity if infinite else ends[1]) + 0.1)
        if infinite:
            axes.axvline((ends[1] + infinity) / 2.0, color="#C5CAD1", ls=":", lw=1.5)
        axes.set_xlabel("\u03b1 (log scale)")
        axes.grid(True)
        axes.set_ylabel(METRICS.get(metric, metric))
        close_range(axes, shown_values(rows, metric))
        legend_above(axes)
        save_figure(figure, path)
