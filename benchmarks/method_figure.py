"""Draw the method: from the frozen classifier's two gradients to a map and a box.

The equations are those of Tan et al. (ACM MM 2020): ``G_H = dz_c/dS``, ``G_L = dJ/dS``,
``E = S/||S|| - G_L/||G_L||``, ``M = sum over C of G_H * E``.

Run as ``python -m benchmarks.method_figure --out fig/method.png [--image PATH --map PATH.npy]``.
"""

import argparse
import io
from typing import Optional, Sequence

import cv2
import matplotlib
import matplotlib.colors
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from dgl.data.views import bgr_to_rgb
from dgl.errors import UserError, run_script
from dgl.predict.overlay import PREDICTED_COLOR, overlay
from dgl.predict.postprocess import largest_box, normalize, resize_map
from dgl.utils.files import write_atomically

# Units of the drawing are inches; at 100 dots an inch it is 1600 x 630 pixels.
_WIDTH, _HEIGHT, _DPI = 16.0, 6.3, 100
_UPPER, _LOWER = 4.0, 1.4
_PIXELS = 400

_INK = "#20262E"
_QUIET = "#5A6470"
_FORWARD = "#7A8491"
_ACTIVATION = "#0072B2"
_CLASS_GRADIENT = "#C65100"
_LOSS_GRADIENT = "#8E3B8A"
_ENHANCED = "#00775A"
_LAYER = "#C9D0D8"
_PANEL = "#F3F5F7"
_TEXT = 17
_FORMULA = 22


def draw(
    path: str,
    image: Optional[np.ndarray] = None,
    score_map: Optional[np.ndarray] = None,
    threshold: float = 0.2,
) -> None:
    """Write the figure as a PNG, 1600 x 630 pixels.

    Args:
        path: str, the file to write.
        image: uint8 array (H, W, 3), RGB, shown as the input; ``None``: a neutral icon.
        score_map: float array (h, w), raw map over the whole image, shown at the output with the
            box it gives; ``None``: neutral icons. Needs ``image``.
        threshold: float in [0, 1], the share of the map's maximum that the box is cut at.

    Raises:
        UserError: nowhere to write.
        ValueError: a map without an image, or arrays of another form.
    """
    source, heat, shown, box = _images(image, score_map, threshold)
    with matplotlib.rc_context({"font.family": ["DejaVu Sans"], "mathtext.fontset": "dejavusans"}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes([0, 0, 1, 1])
        axes.set_xlim(0, _WIDTH)
        axes.set_ylim(0, _HEIGHT)
        axes.set_axis_off()
        _draw_classifier(axes, source)
        _draw_gradients(axes)
        _draw_map(axes, heat, shown, box)
        _draw_key(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI)
    write_atomically(path, buffer.getvalue())


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Parse the command line and draw.

    Args:
        argv: list of str or ``None`` (``sys.argv[1:]``).

    Raises:
        UserError: a file that cannot be read or written, or a map without an image.
    """
    parser = argparse.ArgumentParser(description="Draw the figure of the method.")
    parser.add_argument("--out", required=True, help="the PNG to write")
    parser.add_argument("--image", help="image to show as the input")
    parser.add_argument("--map", help="raw score map of that image, .npy of shape (H, W)")
    parser.add_argument(
        "--threshold", type=float, default=0.2, help="share of the maximum that the box is cut at"
    )
    flags = parser.parse_args(argv)
    if flags.map and not flags.image:
        raise UserError("--map: expected --image with the image it belongs to")
    if not 0 <= flags.threshold <= 1:
        raise UserError(f"--threshold: expected a number in [0, 1], got {flags.threshold}")
    image = _read_image(flags.image) if flags.image else None
    score_map = _read_map(flags.map) if flags.map else None
    draw(flags.out, image, score_map, flags.threshold)


def _read_image(path):
    try:
        with open(path, "rb") as stream:
            encoded = np.frombuffer(stream.read(), np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise UserError(f"{path}: expected an image, such as a JPEG or PNG")
    return np.ascontiguousarray(bgr_to_rgb(image))


def _read_map(path):
    try:
        score_map = np.load(path, allow_pickle=False)
        return normalize(score_map if score_map.ndim == 2 else ())
    except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: expected a .npy file with a finite score map of shape (H, W)"
        ) from error


def _images(image, score_map, threshold):
    """Input, attention map over its image, that image, and the box in its pixels."""
    if score_map is not None and image is None:
        raise ValueError("a score map needs the image it belongs to")
    source = _icon() if image is None else _fit(image)
    shown = source if score_map is not None else _icon()
    attention = normalize(_icon_map() if score_map is None else score_map)
    attention = resize_map(attention, *shown.shape[:2])
    return source, overlay(shown, attention), shown, largest_box(attention, threshold)


def _fit(image):
    scale = _PIXELS / float(max(image.shape[:2]))
    size = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _icon():
    """A tree in a landscape, as plain shapes; drawn large and scaled down for smooth edges."""
    n = 4 * _PIXELS

    def at(*points):
        return (np.array(points) * n).astype(np.int32)

    canvas = np.full((n, n, 3), (222, 231, 240), np.uint8)
    cv2.circle(canvas, (int(0.8 * n), int(0.2 * n)), int(0.08 * n), (250, 250, 247), -1)
    hills = at((0, 0.72), (0.22, 0.5), (0.42, 0.66), (0.72, 0.42), (1, 0.64), (1, 1), (0, 1))
    cv2.fillPoly(canvas, [hills], (183, 196, 208))
    cv2.rectangle(canvas, (0, int(0.76 * n)), (n, n), (206, 214, 203), -1)
    cv2.fillPoly(canvas, [at((0.42, 0.84), (0.44, 0.55), (0.5, 0.55), (0.52, 0.84))], (112, 98, 88))
    for x, y, radius in ((0.38, 0.5, 0.13), (0.56, 0.5, 0.13), (0.47, 0.36, 0.16)):
        cv2.circle(canvas, (int(x * n), int(y * n)), int(radius * n), (104, 138, 116), -1)
    return cv2.resize(canvas, (_PIXELS, _PIXELS), interpolation=cv2.INTER_AREA)


def _icon_map():
    y, x = np.mgrid[0:_PIXELS, 0:_PIXELS] / float(_PIXELS)
    return np.exp(-(((x - 0.47) / 0.18) ** 2) - ((y - 0.5) / 0.25) ** 2)


def _draw_classifier(axes, source):
    """Upper row: image, convolutions, logits, loss."""
    y = _UPPER
    _draw_image(axes, source, (1.25, y), 1.9, "image")
    _arrow(axes, (2.25, y), (3.1, y))
    panel = FancyBboxPatch(
        (2.75, y - 1.05),
        6.35,
        2.1,
        boxstyle="round,pad=0,rounding_size=0.14",
        facecolor=_PANEL,
        edgecolor="#B4BCC6",
        linestyle=(0, (5, 3)),
        linewidth=1.5,
        zorder=0,
    )
    axes.add_patch(panel)
    _text(axes, 8.95, y - 0.85, "frozen classifier", ha="right", color=_QUIET)
    # Layers shrink in space and grow in channels; the third is the one that is looked at.
    _slab(axes, (3.2, y), 1.35, 0.2, _LAYER)
    _slab(axes, (3.85, y), 1.15, 0.34, _LAYER)
    _slab(axes, (4.7, y), 0.95, 0.62, _ACTIVATION)
    _text(axes, 5.01, y - 0.12, "$S$", color="white", size=25)
    _slab(axes, (5.85, y), 0.75, 0.8, _LAYER)
    _arrow(axes, (6.95, y), (7.35, y))
    _box(axes, (8.1, y), (1.4, 0.9), "GAP,\nlinear", _FORWARD, _TEXT)
    _arrow(axes, (8.85, y), (9.5, y))
    for index in range(5):
        color = _CLASS_GRADIENT if index == 4 else _LAYER
        place = (9.8, y - 0.8 + 0.4 * index)
        axes.add_patch(Circle(place, 0.17, facecolor=color, edgecolor="white", lw=1.0))
    _text(axes, 10.3, y + 0.8, "$z_c$", color=_CLASS_GRADIENT, size=_FORMULA)
    _text(axes, 10.1, y - 1.27, "logits $z$")
    _arrow(axes, (10.1, y), (11.55, y))
    _text(axes, 10.8, y - 0.28, "softmax", color=_QUIET)
    _text(axes, 11.78, y, "$p$", size=_FORMULA)
    _arrow(axes, (12.0, y), (12.4, y))
    loss = r"$J(p,\ \alpha\,\mathrm{onehot}(c))$"
    _box(axes, (14.05, y), (3.2, 0.95), loss, _LOSS_GRADIENT, 20)
    _text(axes, 14.05, y - 0.75, r"cross-entropy, $\alpha = 10$", color=_QUIET)


def _draw_gradients(axes):
    """Two ways back from the output to the layer, over the top of the network."""
    lanes = (
        (9.8, _UPPER + 1.0, 5.35, 5.35, _CLASS_GRADIENT),
        (14.05, _UPPER + 0.48, 5.9, 4.97, _LOSS_GRADIENT),
    )
    for start, foot, height, landing, color in lanes:
        _line(axes, [(start, foot), (start, height), (landing, height), (landing, 4.9)], color)
        _arrow(axes, (landing, 5.0), (landing, _UPPER + 0.66), color)
    class_label = r"$G_H = \partial z_c\,/\,\partial S$"
    loss_label = r"$G_L = \partial J\,/\,\partial S$"
    _text(axes, 7.6, 5.35, class_label, color=_CLASS_GRADIENT, size=_FORMULA, ground="white")
    _text(axes, 11.9, 5.9, loss_label, color=_LOSS_GRADIENT, size=_FORMULA, ground="white")


def _draw_map(axes, heat, shown, box):
    """Lower row: enhanced map, sum over the channels, attention map, box."""
    y, bottom = _LOWER, _UPPER - 0.62
    for x, color in ((4.78, _ACTIVATION), (5.02, _LOSS_GRADIENT)):
        _arrow(axes, (x, bottom), (x, y + 0.66), color)
    corner = [(5.26, bottom), (5.26, 2.6), (9.05, 2.6), (9.05, 2.4)]
    _line(axes, corner, _CLASS_GRADIENT)
    _arrow(axes, (9.05, 2.5), (9.05, y + 0.66), _CLASS_GRADIENT)

    _box(axes, (5.1, y), (3.9, 1.25), "", _ENHANCED, _TEXT)
    _colored(
        axes,
        (5.1, y),
        (
            ("$E$", _ENHANCED),
            ("$=$", _INK),
            (r"$\dfrac{S}{\|S\|_2}$", _ACTIVATION),
            ("$-$", _INK),
            (r"$\dfrac{G_L}{\|G_L\|_2}$", _LOSS_GRADIENT),
        ),
    )
    _text(axes, 5.1, y - 0.95, "enhanced map", color=_QUIET)
    _arrow(axes, (7.1, y), (7.6, y), _ENHANCED)
    _box(axes, (9.05, y), (2.8, 1.25), "", _FORWARD, _TEXT)
    _colored(
        axes,
        (9.05, y),
        (
            ("$M$", _INK),
            ("$=$", _INK),
            (r"$\sum_C$", _INK),
            ("$G_H$", _CLASS_GRADIENT),
            (r"$\odot$", _INK),
            ("$E$", _ENHANCED),
        ),
    )
    _text(axes, 9.05, y - 0.95, "sum over channels", color=_QUIET)
    _arrow(axes, (10.5, y), (11.75, y))
    _text(axes, 11.1, y + 0.27, "min-max", color=_QUIET)
    _text(axes, 11.1, y - 0.27, "resize", color=_QUIET)
    _draw_image(axes, heat, (12.65, y), 1.7, "attention map")
    _arrow(axes, (13.55, y), (13.95, y))
    _draw_image(axes, shown, (14.85, y), 1.7, "box", box)


def _draw_key(axes):
    lines = (
        ("$S$", "activation", _ACTIVATION),
        ("$G_H$", "class gradient", _CLASS_GRADIENT),
        ("$G_L$", "loss gradient", _LOSS_GRADIENT),
    )
    for index, (symbol, meaning, color) in enumerate(lines):
        y = _LOWER + 0.45 - 0.45 * index
        _text(axes, 0.35, y, symbol, color=color, size=_TEXT + 2, ha="left")
        _text(axes, 0.95, y, meaning, color=_INK, ha="left", size=_TEXT - 1)


def _text(axes, x, y, text, color=_INK, size=_TEXT, ha="center", ground=None):
    back = {"facecolor": ground, "edgecolor": "none", "pad": 5} if ground else None
    axes.text(x, y, text, color=color, fontsize=size, ha=ha, va="center", bbox=back, zorder=5)


def _colored(axes, center, pieces):
    """One formula in several colors; a mathtext string by itself has only one."""
    areas = [
        TextArea(text, textprops={"color": color, "size": _FORMULA + 1}) for text, color in pieces
    ]
    packed = HPacker(children=areas, align="baseline", pad=0, sep=7)
    axes.add_artist(AnnotationBbox(packed, center, frameon=False, pad=0, box_alignment=(0.5, 0.5)))


def _arrow(axes, start, end, color=_FORWARD):
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=0.5,head_width=0.28",
            mutation_scale=20,
            linewidth=2.6,
            color=color,
            shrinkA=0,
            shrinkB=0,
            zorder=4,
        )
    )


def _line(axes, points, color):
    x, y = zip(*points)
    axes.plot(x, y, color=color, lw=2.6, solid_joinstyle="round", zorder=3)


def _box(axes, center, size, text, edge, font_size):
    corner = (center[0] - size[0] / 2.0, center[1] - size[1] / 2.0)
    axes.add_patch(
        FancyBboxPatch(
            corner,
            size[0],
            size[1],
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor="white",
            edgecolor=edge,
            linewidth=2.0,
        )
    )
    if text:
        _text(axes, center[0], center[1], text, size=font_size)


def _slab(axes, left_middle, side, depth, color):
    """A tensor as a block: its front is ``depth`` (channels) wide and ``side`` (space) high."""
    slant = 0.26 * side
    x, y = left_middle[0], left_middle[1] - (side + slant) / 2.0
    base = np.array(matplotlib.colors.to_rgb(color))
    style = {"edgecolor": "white", "linewidth": 1.2, "zorder": 2}
    axes.add_patch(Rectangle((x, y), depth, side, facecolor=base, **style))
    top = [(x, y + side), (x + slant, y + side + slant)]
    top += [(x + depth + slant, y + side + slant), (x + depth, y + side)]
    right = [(x + depth, y), (x + depth, y + side)]
    right += [(x + depth + slant, y + side + slant), (x + depth + slant, y + slant)]
    axes.add_patch(Polygon(top, closed=True, facecolor=base * 0.7 + 0.3, **style))
    axes.add_patch(Polygon(right, closed=True, facecolor=base * 0.82, **style))


def _draw_image(axes, image, center, side, label, box=None):
    height, width = image.shape[:2]
    half = np.array([width, height]) * side / (2.0 * max(width, height))
    x, y = center
    extent = (x - half[0], x + half[0], y - half[1], y + half[1])
    axes.imshow(image, extent=extent, aspect="auto", interpolation="lanczos", zorder=2)
    axes.add_patch(
        Rectangle(
            (extent[0], extent[2]), 2 * half[0], 2 * half[1], fill=False, edgecolor=_FORWARD, lw=1.2
        )
    )
    if box is not None and np.any(box):
        unit = 2 * half / (width, height)
        corner = (extent[0] + box[0] * unit[0], extent[3] - box[1] * unit[1])
        size = ((box[2] - box[0]) * unit[0], -(box[3] - box[1]) * unit[1])
        # Drawn here rather than into the pixels, so that its width suits the figure.
        for color, line in ((_INK, 4.2), (np.array(PREDICTED_COLOR) / 255.0, 2.6)):
            style = {"edgecolor": color, "linewidth": line, "joinstyle": "miter", "zorder": 4}
            axes.add_patch(Rectangle(corner, size[0], size[1], fill=False, **style))
    _text(axes, x, y - half[1] - 0.27, label, color=_QUIET)
    axes.set_xlim(0, _WIDTH)
    axes.set_ylim(0, _HEIGHT)


if __name__ == "__main__":
    run_script(main)
