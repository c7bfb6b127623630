"""One strip an image: the image with its true boxes, then every map with the boxes it gives."""

import os
import shutil
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from dgl.data.image_io import read_image
from dgl.data.sample import DataSet
from dgl.data.views import GEOMETRIES, rgb_to_bgr
from dgl.evaluation.fusion import Fusion, entry_name, score_maps
from dgl.evaluation.plan import FIXED
from dgl.evaluation.results import Gathered, image_key
from dgl.evaluation.summary import class_name
from dgl.metrics.box_check import case_of, fit_boxes
from dgl.predict import postprocess as box_ops
from dgl.predict.overlay import draw_boxes, overlay, write_image
from dgl.utils.types import ArrayLike

PANEL = 320
MAX_COLUMNS = 4

_GAP = 8
_CAPTION = 34
_TEXT_SIZE = 17
_PAD = 4
_TALLEST = 1.25
_GROUND = (255, 255, 255)
_INK = (28, 32, 38)
_QUIET = (98, 106, 118)
_CV_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Entry(NamedTuple):
    """What one method at one layer says about an image.

    Attributes:
        name: caption, such as ``dgl@conv5_3``.
        score_map: float array (h, w) in [0, 1], over the whole of the image.
        box: predicted box (x0, y0, x1, y1) in pixels of the image, or ``None``.
        iou: IoU in [0, 1] of that box with the best true box, or ``None``.
    """

    name: str
    score_map: np.ndarray
    box: Optional[Sequence[float]] = None
    iou: Optional[float] = None


def compose_tile(
    image: np.ndarray,
    truth: ArrayLike,
    entries: Sequence[Entry],
    panel: int = PANEL,
    max_columns: int = MAX_COLUMNS,
) -> np.ndarray:
    """The composite for one image; more than ``max_columns`` panels go into rows of equal length.

    Args:
        image: uint8 array (H, W, 3), RGB, in the geometry the maps and boxes are in.
        truth: sequence of true boxes (x0, y0, x1, y1) in pixels of ``image``; may be empty.
        entries: sequence of :class:`Entry`.
        panel: int, width of one panel in pixels.
        max_columns: int, panels in a row.

    Returns:
        uint8 array (height, width, 3), RGB.

    Raises:
        ValueError: an image, map or box of another shape, or NaN or infinity in a map or box.
    """
    image = np.asarray(image)
    height, width = image.shape[:2]
    scale = min(panel / float(width), _TALLEST * panel / float(height))
    size = (max(1, int(round(width * scale))), max(1, int(round(height * scale))))
    # Boxes are drawn after scaling, so that their lines are as crisp as the panel allows.
    ratio = np.array([size[0] / float(width), size[1] / float(height)] * 2)
    resample = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(np.ascontiguousarray(image), size, interpolation=resample)
    truth = np.asarray(truth, dtype=np.float64).reshape(-1, 4) * ratio

    first = "input, true box" if len(truth) else "input"
    panels = [(draw_boxes(scaled, None, truth), first, "")]
    for entry in entries:
        box = None if entry.box is None else np.asarray(entry.box, dtype=np.float64) * ratio
        value = "" if entry.iou is None else f"IoU {entry.iou:.2f}"
        heat = draw_boxes(overlay(scaled, entry.score_map), box, truth)
        panels.append((heat, entry.name, value))

    rows = -(-len(panels) // max_columns)
    columns = -(-len(panels) // rows)
    cell = (panel, size[1] + _CAPTION)
    shape = (rows * (cell[1] + _GAP) - _GAP, columns * (cell[0] + _GAP) - _GAP, 3)
    tile = np.full(shape, _GROUND, dtype=np.uint8)
    for index, (picture, name, value) in enumerate(panels):
        row, column = divmod(index, columns)
        left, top = column * (cell[0] + _GAP), row * (cell[1] + _GAP)
        inset = left + (panel - size[0]) // 2
        tile[top : top + size[1], inset : inset + size[0]] = picture
        tile[top + size[1] : top + cell[1], left : left + panel] = caption(name, value, panel)
    return tile


def caption(left: str, right: str, width: int) -> np.ndarray:
    """A strip of text: one string at the left edge, shortened if it must be, one at the right.

    Args:
        left: str.
        right: str, may be empty; never shortened.
        width: int, pixels.

    Returns:
        uint8 array (34, width, 3), RGB.
    """
    font = _font()
    if font is None:
        return _caption_opencv(left, right, width)
    strip = Image.new("RGB", (width, _CAPTION), _GROUND)
    pen = ImageDraw.Draw(strip)
    taken = pen.textlength(right, font=font)
    left = _shorten(left, width - taken - 4 * _PAD, lambda text: pen.textlength(text, font=font))
    middle = _CAPTION // 2
    pen.text((_PAD, middle), left, fill=_INK, font=font, anchor="lm")
    pen.text((width - _PAD, middle), right, fill=_QUIET, font=font, anchor="rm")
    return np.array(strip)


def _font():
    """Pillow's own scalable font, or ``None`` where Pillow (below 10.1) has none."""
    try:
        return ImageFont.load_default(_TEXT_SIZE)
    except (TypeError, ImportError):
        return None


def _caption_opencv(left, right, width):
    strip = np.full((_CAPTION, width, 3), _GROUND, dtype=np.uint8)

    def length(text):
        return cv2.getTextSize(text, _CV_FONT, 0.5, 1)[0][0] if text else 0

    taken = length(right)
    left = _shorten(left, width - taken - 4 * _PAD, length)
    for text, x, ink in ((left, _PAD, _INK), (right, width - _PAD - taken, _QUIET)):
        if text:
            cv2.putText(strip, text, (x, _CAPTION - 12), _CV_FONT, 0.5, ink, 1, cv2.LINE_AA)
    return strip


def _shorten(text, room, length):
    if length(text) <= room:
        return text
    while text and length(text + "...") > room:
        text = text[:-1]
    return text + "..."


# The images of the report: which are drawn, and the strip of each with the maps of some entries.

GALLERY = "gallery"
# More panels than these make a strip that nobody reads.
MOST_ENTRIES = 8
_BATCH = 16


def choose(gathered: Gathered, entry: Tuple[str, str], count: int) -> List[int]:
    """Places of the images to draw: evenly from the worst to the best IoU of one entry.

    Without the fixed-threshold protocol, which knows the IoUs, evenly over the list.

    Returns:
        list of int, ascending.
    """
    positions = np.array(sorted(int(key) for key in gathered.names), np.int64)
    if FIXED in gathered.plan.protocols and not gathered.plan.selecting:
        rows = gathered.localization[FIXED, entry].result()["rows"]
        known = [(row["iou"], int(row["id"])) for row in rows if row["iou"] is not None]
        positions = np.array([position for _, position in sorted(known)], np.int64)
    if not count or not len(positions):
        return []
    picked = np.linspace(0, len(positions) - 1, min(count, len(positions))).round().astype(int)
    return sorted(positions[picked].tolist())


def clear(out: str) -> None:
    """Remove the images of an earlier report."""
    shutil.rmtree(os.path.join(out, GALLERY), ignore_errors=True)


def draw(
    predictor: Any,
    dataset: DataSet,
    gathered: Gathered,
    out: str,
    positions: Sequence[int],
    entries: Sequence[Tuple[str, str]],
    fusions: Sequence[Fusion] = (),
    progress: bool = True,
) -> List[Dict[str, Any]]:
    """Run the network on some images again and draw a strip of each.

    Args:
        predictor, dataset: as of :class:`~dgl.evaluation.run.Evaluation`.
        gathered: its results.
        out: str, the report's folder; what ``gallery/`` in it holds is replaced.
        positions: places in the data set's list of images that could be read.
        entries: the entries to draw, at most :data:`MOST_ENTRIES` of them are.
        fusions: the fusions among them.
        progress: bool.

    Returns:
        list of dicts, as :func:`dgl.report.page.write_report` takes them.
    """
    clear(out)
    plan, entries = gathered.plan, list(entries)[:MOST_ENTRIES]
    protocol = FIXED if FIXED in plan.protocols else plan.protocols[0]
    rank = dict(zip(gathered.pictures.ids, gathered.pictures.column("rank")))
    items = []
    with tqdm(
        total=len(positions), desc="pictures", unit=" images", disable=not progress, leave=False
    ) as bar:
        for start in range(0, len(positions), _BATCH):
            part = positions[start : start + _BATCH]
            samples = [dataset.samples[position] for position in part]
            views = [_view(protocol, sample, predictor.image_size) for sample in samples]
            images = np.stack([rgb_to_bgr(view.image) for view in views])
            prediction = predictor(images, np.array([sample.class_index for sample in samples]))
            for index, (position, sample, view) in enumerate(zip(part, samples, views)):
                raw = {entry: maps[index] for entry, maps in prediction.maps.items()}
                name = f"{GALLERY}/{position:06d}.jpg"
                item = _strip(os.path.join(out, name), view, raw, plan, protocol, entries, fusions)
                best = int(prediction.logits[index].argmax())
                item.update(
                    file=name,
                    id=sample.id,
                    true_class=class_name(plan, sample.class_index),
                    predicted_class=class_name(plan, best),
                    probability=float(prediction.probability[index, best]),
                    correct=bool(rank[image_key(position)] == 1),
                )
                items.append(item)
            bar.update(len(part))
    return items


def _view(protocol, sample, size):
    image = read_image(sample.path)
    return GEOMETRIES[protocol].view(image, fit_boxes(sample.boxes, image).boxes, size)


def _strip(path, view, raw, plan, protocol, entries, fusions):
    """Write one strip; returns its ``ious`` and ``cases`` by entry."""
    ratio = view.map_size / float(view.image.shape[0])
    drawn, ious, cases = {}, {}, {}
    for entry, score_map in score_maps(raw, view.map_size, fusions):
        if entry not in entries:
            continue
        settled = plan.threshold_of(protocol, entry)
        box = box_ops.largest_box(score_map, plan.threshold if settled is None else settled)
        overlap, case = None, None
        if len(view.boxes):
            overlap = float(box_ops.iou(box, view.boxes).max())
            case = case_of(box, view.boxes)
        drawn[entry] = Entry(entry_name(entry), score_map, box / ratio, overlap)
        ious[entry_name(entry)], cases[entry_name(entry)] = overlap, case
    truth = np.asarray(view.boxes, float) / ratio
    write_image(path, compose_tile(view.image, truth, [drawn[entry] for entry in entries]))
    order = [entry_name(entry) for entry in entries]
    return {"ious": {n: ious[n] for n in order}, "cases": {n: cases[n] for n in order}}
