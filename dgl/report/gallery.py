"""Gallery of the report: choose images, draw a strip of each, and list them for the page.

A record of the gallery is a dict ``file`` (path below the report's folder, ``/`` between its parts),
``id``, ``ious`` (entry name -> IoU in [0, 1] or ``None``), ``cases`` (entry name -> a key of
:data:`CASES` or ``None``), ``true_class``, ``predicted_class``, ``probability`` in [0, 1] and ``correct``
(bool). All records have the same entries.
"""

import os
import shutil
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from dgl.data.class_names import ClassNames
from dgl.data.image_io import read_reduced
from dgl.data.sample import DataSet, Sample
from dgl.data.views import GEOMETRIES, rgb_to_bgr
from dgl.evaluation.layer_fusion import Fusion, entry_name, score_maps
from dgl.evaluation.plan import FIXED, Plan
from dgl.evaluation.results import Results, image_key
from dgl.metrics.box_check import fit_boxes
from dgl.metrics.fixed_threshold import case_of
from dgl.predict import postprocess
from dgl.predict.overlay import draw_boxes, overlay, write_image
from dgl.predict.postprocess import parse_normalization
from dgl.utils.parallel import chunks_of
from dgl.utils.types import ArrayLike

GALLERY = "gallery"
MOST_ENTRIES = 8  # maps in a strip
# How a predicted box lies relative to the object.
CASES = {
    "right": "right",
    "part": "a part of the object",
    "more": "more than the object",
    "elsewhere": "elsewhere",
}

_BATCH = 16

# Of a strip, in pixels.
_PANEL = 320
_GAP = 8
_CAPTION = 34
_TEXT_SIZE = 17
_PAD = 4
_TALLEST = 1.25  # of the width of a panel
_MAX_COLUMNS = 4
_BACKGROUND = (255, 255, 255)
_INK = (28, 32, 38)
_QUIET = (98, 106, 118)


def choose(results: Results, entry: Tuple[str, str], count: int) -> List[int]:
    """Positions of the images to draw, spread evenly from the worst to the best IoU of one entry.

    Without the fixed-threshold protocol, which has the IoUs, spread evenly over the data set.
    """
    positions = np.array(sorted(int(key) for key in results.names), np.int64)
    if FIXED in results.plan.protocols and not results.plan.selecting:
        rows = results.localization[FIXED, entry].result()["rows"]
        known = [(row["iou"], int(row["id"])) for row in rows if row["iou"] is not None]
        positions = np.array([position for _, position in sorted(known)], np.int64)
    if not count or not len(positions):
        return []
    picked = np.linspace(0, len(positions) - 1, min(count, len(positions))).round().astype(int)
    chosen: List[int] = sorted(positions[picked].tolist())
    return chosen


def clear(out: str) -> None:
    """Remove the images of an earlier report."""
    shutil.rmtree(os.path.join(out, GALLERY), ignore_errors=True)


def draw(
    predictor: Any,
    dataset: DataSet,
    results: Results,
    out: str,
    positions: Sequence[int],
    entries: Sequence[Tuple[str, str]],
    fusions: Sequence[Fusion] = (),
) -> List[Dict[str, Any]]:
    """Predict some images again and write a strip of each.

    Args:
        predictor, dataset, results: of the evaluation.
        out: folder of the report; the content of its ``gallery/`` is replaced.
        positions: of readable images in the data set.
        entries: the entries to draw; the first :data:`MOST_ENTRIES` are.
        fusions: the fusions among them.

    Returns:
        a record per image.
    """
    clear(out)
    plan, entries = results.plan, list(entries)[:MOST_ENTRIES]
    class_names = ClassNames(plan.class_names or ())
    protocol = FIXED if FIXED in plan.protocols else plan.protocols[0]
    rank = dict(zip(results.images.ids, results.images.column("rank")))
    records = []
    with tqdm(total=len(positions), desc="gallery", unit=" images", leave=False) as bar:
        for part in chunks_of(positions, _BATCH):
            samples = [dataset.samples[position] for position in part]
            views = [
                _view(protocol, sample, predictor.image_size, plan.boxes_frame)
                for sample in samples
            ]
            images = np.stack([rgb_to_bgr(view.image) for view in views])
            prediction = predictor(images, np.array([sample.class_index for sample in samples]))
            for index, (position, sample, view) in enumerate(zip(part, samples, views)):
                raw = {entry: maps[index] for entry, maps in prediction.maps.items()}
                file = f"{GALLERY}/{position:06d}.jpg"
                path = os.path.join(out, file)
                predicted = int(prediction.logits[index].argmax())
                records.append(
                    {
                        **_write_strip(path, view, raw, plan, protocol, entries, fusions),
                        "file": file,
                        "id": sample.id,
                        "true_class": class_names.name(sample.class_index),
                        "predicted_class": class_names.name(predicted),
                        "probability": float(prediction.probability[index, predicted]),
                        "correct": bool(rank[image_key(position)] == 1),
                    }
                )
            bar.update(len(part))
    return records


def _view(protocol: str, sample: Sample, size: int, frame: str) -> Any:
    decoded = read_reduced(sample.path)
    boxes = decoded.to_image(fit_boxes(sample.boxes, decoded, frame).boxes)
    return GEOMETRIES[protocol].view(decoded.image, boxes, size)


def _write_strip(
    path: str,
    view: Any,
    raw: Mapping[Tuple[str, str], np.ndarray],
    plan: Plan,
    protocol: str,
    entries: Sequence[Tuple[str, str]],
    fusions: Sequence[Fusion],
) -> Dict[str, Dict[str, Any]]:
    """Write one strip and return its ``ious`` and ``cases`` by entry name."""
    ratio = view.map_size / float(view.image.shape[0])
    drawn: Dict[Tuple[str, str], Entry] = {}
    normalization = parse_normalization(plan.normalize)
    for entry, score_map in score_maps(raw, view.map_size, fusions, normalization):
        if entry not in entries:
            continue
        threshold = plan.threshold_of(protocol, entry)
        box = postprocess.largest_box(score_map, plan.threshold if threshold is None else threshold)
        overlap, case = None, None
        if len(view.boxes):
            overlap = float(postprocess.iou(box, view.boxes).max())
            case = case_of(box, view.boxes)
        drawn[entry] = Entry(entry_name(entry), score_map, box / ratio, overlap, case)
    panels = [drawn[entry] for entry in entries]
    truth = np.asarray(view.boxes, float) / ratio
    write_image(path, compose_tile(view.image, truth, panels))
    return {
        "ious": {panel.name: panel.iou for panel in panels},
        "cases": {panel.name: panel.case for panel in panels},
    }


class Entry(NamedTuple):
    """A map of an image with its box."""

    name: str  # caption, such as dgl@conv5_3
    score_map: np.ndarray  # float (h, w) in [0, 1], over the whole image
    box: Optional[Sequence[float]] = None  # predicted, (x0, y0, x1, y1) in pixels of the image
    iou: Optional[float] = None  # of that box with the best true box, in [0, 1]
    case: Optional[str] = None  # of that box, a key of CASES


def compose_tile(
    image: np.ndarray, truth: ArrayLike, entries: Sequence[Entry], panel: int = _PANEL
) -> np.ndarray:
    """The strip of one image: itself with its true boxes, then each map over it with its box.

    Args:
        image: uint8 array (H, W, 3), RGB, in the geometry of the maps and boxes.
        truth: true boxes (x0, y0, x1, y1) in pixels of ``image``; may be empty.
        entries: the maps; more than four panels go into rows of equal length.
        panel: width of one panel in pixels.

    Returns:
        uint8 array (height, width, 3), RGB.
    """
    image = np.asarray(image)
    height, width = image.shape[:2]
    scale = min(panel / float(width), _TALLEST * panel / float(height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Boxes are drawn after scaling to keep their lines crisp.
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

    rows = -(-len(panels) // _MAX_COLUMNS)
    columns = -(-len(panels) // rows)
    cell = (panel, size[1] + _CAPTION)
    shape = (rows * (cell[1] + _GAP) - _GAP, columns * (cell[0] + _GAP) - _GAP, 3)
    tile = np.full(shape, _BACKGROUND, dtype=np.uint8)
    for index, (pixels, name, value) in enumerate(panels):
        row, column = divmod(index, columns)
        left, top = column * (cell[0] + _GAP), row * (cell[1] + _GAP)
        inset = left + (panel - size[0]) // 2
        tile[top : top + size[1], inset : inset + size[0]] = pixels
        tile[top + size[1] : top + cell[1], left : left + panel] = caption(name, value, panel)
    return tile


def caption(left: str, right: str, width: int) -> np.ndarray:
    """A line of text, uint8 RGB (34, width, 3); ``left`` is shortened where ``right`` needs the room."""
    font = _font()
    strip = Image.new("RGB", (width, _CAPTION), _BACKGROUND)
    pen = ImageDraw.Draw(strip)
    room = width - pen.textlength(right, font=font) - 4 * _PAD
    if pen.textlength(left, font=font) > room:
        while left and pen.textlength(left + "...", font=font) > room:
            left = left[:-1]
        left += "..."
    middle = _CAPTION // 2
    pen.text((_PAD, middle), left, fill=_INK, font=font, anchor="lm")
    pen.text((width - _PAD, middle), right, fill=_QUIET, font=font, anchor="rm")
    return np.array(strip)


def _font() -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font, or Matplotlib's, as Pillow below 10.1 has none."""
    try:
        return ImageFont.load_default(_TEXT_SIZE)
    except (TypeError, ImportError):
        folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
        return ImageFont.truetype(os.path.join(folder, "DejaVuSans.ttf"), _TEXT_SIZE)


def in_order(gallery: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """The records by descending IoU of the first entry; those without one come last."""

    def key(item: Mapping[str, Any]) -> Tuple[bool, float]:
        value = next(iter(item["ious"].values()))
        return value is None, -(value or 0.0)

    return sorted(gallery, key=key)


def script_index(
    gallery: Sequence[Mapping[str, Any]], classes: Sequence[str], cases: Sequence[str], iou: float
) -> List[Dict[str, Any]]:
    """What the page's script sorts and filters the records by; a box is right from ``iou`` on.

    Returns:
        a dict per record: ``c`` (index of the true class), ``k`` (whether the classification is right),
        and by entry ``i`` (IoU or ``None``), ``r`` (whether the box is right, -1 where there is no true
        box) and ``f`` (index of the case in ``cases``, or -1).
    """
    return [
        {
            "c": classes.index(item["true_class"]),
            "k": int(item["correct"]),
            "i": [None if value is None else round(value, 4) for value in item["ious"].values()],
            "r": [-1 if value is None else int(value >= iou) for value in item["ious"].values()],
            "f": [-1 if case is None else cases.index(case) for case in item["cases"].values()],
        }
        for item in gallery
    ]


def case_counts(gallery: Sequence[Mapping[str, Any]]) -> List[Tuple[str, List[int]]]:
    """(entry name, counts) of each entry: one per case of :data:`CASES`, then their sum.

    Empty if no image has a case.
    """
    rows = []
    for entry in gallery[0]["cases"] if gallery else ():
        own = [item["cases"][entry] for item in gallery]
        counts = [own.count(case) for case in CASES]
        rows.append((entry, [*counts, sum(counts)]))
    return rows if any(own[-1] for _, own in rows) else []
