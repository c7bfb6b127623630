"""Style of the charts: fonts, colors, axes in percent, and figures written as PNG.

The colors are Okabe and Ito's, which color-blind readers can tell apart. Figures are drawn with the
Agg backend, without pyplot and its global state.
"""

import contextlib
import io
import itertools
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from dgl.utils.files import write_atomically

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B")
DASHES = ("-", "--", "-.", ":")
CAM_COLOR = "#333333"
INK = "#23272E"
QUIET = "#4B535E"
WIDTH = 8.0
HEIGHT = 4.4
DPI = 200
MARKERS = "os^D"
_COLORS = 128
_RECTANGLE = [0.085, 0.14, 0.895, 0.74]

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "axes.edgecolor": "#8A929C",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E3E6EA",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Context in which a chart is drawn and saved."""
    # text.parse_math came with matplotlib 3.6.
    with matplotlib.rc_context({k: v for k, v in _STYLE.items() if k in matplotlib.rcParams}):
        yield


def line_styles(methods: Iterable[str]) -> List[Tuple[str, str, str]]:
    """(color, dash, marker) for each method; CAM has its own, others change them after all colors."""
    styles = itertools.cycle(
        (color, dash, marker) for dash, marker in zip(DASHES, MARKERS) for color in PALETTE
    )
    return [(CAM_COLOR, "--", "o") if method == "cam" else next(styles) for method in methods]


def new_figure(
    rectangle: Sequence[float], width: float = WIDTH, height: float = HEIGHT
) -> Tuple[Figure, Axes]:
    """A white figure, in inches, with one axes (left, bottom, width, height) in fractions of it."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.add_axes(rectangle)


def save_figure(figure: Figure, path: str) -> None:
    """Write the figure as a PNG with a palette, cropped to what is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.12)
    # A chart has few colors; a palette makes the file, and a page that embeds it, three times smaller.
    image = Image.open(buffer).convert("RGB").quantize(_COLORS, dither=0)
    small = io.BytesIO()
    image.save(small, format="png", optimize=True)
    write_atomically(path, small.getvalue())


def ink_on(color: Sequence[float]) -> str:
    """White or dark text, whichever reads better on a color (red, green, blue in [0, 1]).

    Relative luminance and contrast are those of WCAG 2.
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # The dark ink's own luminance is 0.02.
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.07 else INK


@contextlib.contextmanager
def percent_chart(
    path: str, label: str, legend: Optional[Mapping[str, Any]] = None
) -> Iterator[Axes]:
    """Yield the axes of a chart whose vertical axis is in percent, and write it at the end.

    Args:
        path: the PNG to write.
        label: of the vertical axis.
        legend: options of the legend; by default it is above the axes, where no line crosses it.
    """
    with styled():
        figure, axes = new_figure(_RECTANGLE)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.set_ylabel(label)
        axes.grid(True)
        yield axes
        axes.legend(**(legend or _legend_above(axes)))
        save_figure(figure, path)


def _legend_above(axes: Axes) -> Dict[str, Any]:
    _, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels))
    # As many columns as fit the width of the axes with the longest label.
    columns = max(1, min(5, len(labels), 84 // (longest + 6)))
    return {
        "loc": "lower left",
        "bbox_to_anchor": (0, 1.0),
        "ncol": columns,
        "fontsize": 12,
        "borderaxespad": 0.3,
        "handlelength": 1.8,
    }


def close_range(axes: Axes, values: Sequence[float]) -> None:
    """Limit the vertical axis to the range of the values."""
    room = 0.08 * (max(values) - min(values)) + 1.0
    axes.set_ylim(max(0, min(values) - room), max(values) + room)


def whisker(axes: Axes, x: float, bounds: Optional[Sequence[float]], color: str) -> None:
    """Draw the interval (low, high) as a vertical line, if there is one."""
    if bounds is None:
        return
    low, high = (float(bound) for bound in bounds)
    axes.plot([x, x], [low, high], color=color, lw=1.2, alpha=0.7, zorder=4, label="_whisker")


def shortened(name: str, longest: int) -> str:
    """``name``, cut to at most that many characters."""
    return name if len(name) <= longest else name[: longest - 1] + "\u2026"


def shown_values(rows: Iterable[Mapping[str, Any]], metric: str) -> List[float]:
    """The values of all rows and the ends of their intervals."""
    values = [float(row[metric]) for row in rows]
    return values + [float(v) for row in rows for v in row.get(metric + "_interval") or ()]
