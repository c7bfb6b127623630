"""Draw attention maps by epoch from a training's event file, and measure what recording them costs.

    python -m benchmarks.watching --logdir train_log/birds --out fig/watching.png

Rows are watched images, columns epochs; below them GT-known and the validation error over the epochs.
Printed is the share of the run's time between an epoch's last step and its ``val-gt-known``: drawing and
measuring, and the checkpoint that is kept before, which cannot be told apart from them here.
"""

import argparse
import io
import os
import sys

import cv2
import numpy as np
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from dgl.errors import UserError, run_script
from dgl.report.chart_style import PALETTE, QUIET, new_figure, styled
from dgl.tf_compat import tf
from dgl.training.attention_callback import GT_KNOWN
from dgl.training.log_folder import THROUGHPUT, read_rows
from dgl.utils.files import write_atomically

_PREFIX = "maps/"
_VAL_ERROR = "val-error-top1"
_COLUMNS = 6
_PANEL = 1.28  # inches
_CURVES = 1.5
_LEFT, _RIGHT, _ABOVE, _BETWEEN, _BELOW = 0.62, 0.85, 0.34, 0.25, 0.55
_DPI = 110


def read_events(folder):
    """(tag -> step -> RGB image, tag -> step -> wall time) of the event files in a log folder."""
    images, times = {}, {}
    for name in sorted(os.listdir(folder)):
        if not name.startswith("events.out.tfevents"):
            continue
        for event in tf.train.summary_iterator(os.path.join(folder, name)):
            for value in event.summary.value:
                times.setdefault(value.tag, {})[event.step] = event.wall_time
                if value.WhichOneof("value") == "image" and value.tag.startswith(_PREFIX):
                    data = np.frombuffer(value.image.encoded_image_string, np.uint8)
                    rgb = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
                    images.setdefault(value.tag, {})[event.step] = rgb
    if not images:
        raise UserError(f"{folder}: no maps in its event files; expected a training's log")
    return images, times


def share_of_time(times):
    """Share of the run's time that goes by between the last step of an epoch and ``val-gt-known``."""
    over, known = times[THROUGHPUT], times[GT_KNOWN]
    steps = sorted(set(over) & set(known))
    # The first epoch also starts up, and reads the watched images.
    spent = sum(known[step] - over[step] for step in steps[1:])
    return spent / (known[steps[-1]] - known[steps[0]])


def _chosen(epochs, count=_COLUMNS):
    """The first epoch, the last one, and some between, closer at the beginning."""
    places = np.geomspace(1, len(epochs), count).round().astype(int) - 1
    return [epochs[place] for place in sorted(set(places))]


def draw(path, images, rows, numbers):
    """Write the figure.

    Args:
        path: the PNG.
        images: from :func:`read_events`.
        rows: of ``stats.json``.
        numbers: which of the watched images.
    """
    step_of = {row["epoch_num"]: row["global_step"] for row in rows}
    epochs = [epoch for epoch in step_of if step_of[epoch] in next(iter(images.values()))]
    columns = _chosen(epochs)
    tags = [list(images)[number] for number in numbers]
    width = _LEFT + _PANEL * (len(columns) + 1) + _RIGHT
    height = _ABOVE + _PANEL * len(tags) + _BETWEEN + _CURVES + _BELOW
    with styled():
        figure, axes = new_figure(
            (
                _LEFT / width,
                _BELOW / height,
                (width - _LEFT - _RIGHT) / width,
                _CURVES / height,
            ),
            width,
            height,
        )
        for row, tag in enumerate(tags):
            for column in range(len(columns) + 1):
                image = images[tag][step_of[columns[max(0, column - 1)]]]
                side = image.shape[0]
                part = image[:, :side] if column == 0 else image[:, -side:]
                bottom = height - _ABOVE - _PANEL * (row + 1)
                panel = figure.add_axes(
                    (
                        (_LEFT + _PANEL * column) / width,
                        bottom / height,
                        0.97 * _PANEL / width,
                        0.97 * _PANEL / height,
                    )
                )
                panel.imshow(part, interpolation="bilinear")
                panel.set_axis_off()
                if row == 0:
                    name = "picture" if column == 0 else f"epoch {columns[column - 1]}"
                    panel.set_title(name, fontsize=11, pad=5)
        _curves(axes, rows)
        _save(figure, path)


def _save(figure, path):
    """With as many colors as a palette has: in all of them the file has three times the size."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    image = Image.open(buffer).convert("RGB").quantize(256)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    write_atomically(path, buffer.getvalue())


def _curves(axes, rows):
    for name, label, color in (
        (GT_KNOWN, "GT-known", PALETTE[0]),
        (_VAL_ERROR, "val-error", PALETTE[1]),
    ):
        points = [(row["epoch_num"], 100 * row[name]) for row in rows if name in row]
        x, y = zip(*points)
        axes.plot(x, y, color=color, lw=2, marker="o", ms=4)
        axes.annotate(
            label,
            (x[-1], y[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            color=color,
            va="center",
            fontsize=10,
        )
    last = max(row["epoch_num"] for row in rows)
    axes.set_xlim(0.5, last + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=10)
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("%", color=QUIET, rotation=0, labelpad=8)
    axes.set_xlabel("epoch", color=QUIET)
    axes.grid(True, axis="y")


def main(argv=None):
    """Draw the figure and print the share."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--logdir", required=True, help="log folder of a training")
    parser.add_argument("--out", required=True, help="the PNG to write")
    parser.add_argument(
        "--numbers", type=int, nargs="+", default=[0, 1, 2], help="of the watched images"
    )
    args = parser.parse_args(argv)
    images, times = read_events(args.logdir)
    rows = [row for row in read_rows(args.logdir) if row["epoch_num"] > 0]
    draw(args.out, images, rows, args.numbers)
    print(f"watching, and keeping: {100 * share_of_time(times):.1f} % of the time")
    return 0


if __name__ == "__main__":
    run_script(main)
