"""The layer-by-method matrix: accuracy of every method at every layer as a heat map."""

from typing import Any, Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from dgl.errors import UserError
from dgl.rendering.chart_axes import METRICS, shortened
from dgl.rendering.chart_style import WIDTH, ink_on, new_figure, save_figure, styled
from dgl.rendering.columns import layers_and_methods

# One hue from light to dark, so that it reads the same to colour-blind eyes and in grey.
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
