"""From a raw map to what the page shows and hands out: the box, the images, the record, the files."""

import io
import json
from typing import Any, Dict, NamedTuple, Tuple

import cv2
import numpy as np

from dgl.data.image_io import encode_image
from dgl.predict import postprocess
from dgl.predict.overlay import colorize, draw_boxes, overlay
from dgl.report.localize_files import json_number
from dgl.serving.engine import Look
from dgl.serving.models import Entry, Model
from dgl.serving.sessions import Visit
from dgl.tf_compat import reference_kernels
from dgl.utils.cpu import FLOAT32

Box = Tuple[int, int, int, int]


class Choice(NamedTuple):
    """What a visitor has set.

    Attributes:
        checkpoint: index.
        entry: (method, layer).
        alpha: of the loss gradient, also ``inf``.
        threshold: fraction of the map's maximum, in [0, 1].
    """

    checkpoint: int
    entry: Entry
    alpha: float
    threshold: float


def find_box(raw: np.ndarray, size: Tuple[int, int], threshold: float) -> Box:
    """The box of a raw map in an image, as the demo finds it.

    Args:
        raw: float (h, w).
        size: (height, width) of the image.
        threshold: in [0, 1].

    Returns:
        (x0, y0, x1, y1) in pixels of the image; all 0 where there is none.
    """
    score_map = postprocess.score_map(raw, *size)
    x0, y0, x1, y1 = (int(v) for v in postprocess.largest_box(score_map, threshold))
    return x0, y0, x1, y1


def heat(visit: Visit, raw: np.ndarray, threshold: float) -> np.ndarray:
    """Colors of a raw map, what is above the threshold outlined in white; as large as the page shows it.

    Args:
        visit: :class:`~dgl.serving.sessions.Visit`.
        raw: float (h, w).
        threshold: in [0, 1].

    Returns:
        uint8 RGB.
    """
    score_map = postprocess.score_map(raw, *visit.shown.shape[:2])
    colors = colorize(score_map)
    mask = postprocess.binarize(score_map, threshold)
    colors[mask > cv2.erode(mask, np.ones((3, 3), np.uint8))] = 255
    return colors


def heat_over(visit: Visit, raw: np.ndarray) -> np.ndarray:
    """The published overlay at the size that the page shows, uint8 RGB."""
    return overlay(visit.shown, postprocess.normalize(raw))


def with_box(visit: Visit, picture: np.ndarray, box: Box) -> np.ndarray:
    """A box of the visitor's image drawn on a copy at the size that the page shows."""
    scale = picture.shape[1] / float(visit.size[1]), picture.shape[0] / float(visit.size[0])
    return draw_boxes(picture, predicted=np.multiply(box, scale * 2))


def record_of(
    visit: Visit, model: Model, weights: str, look: Look, choice: Choice
) -> Dict[str, Any]:
    """What was found, in the fields of the demo's record.

    Args:
        visit: :class:`~dgl.serving.sessions.Visit`.
        model: :class:`~dgl.serving.models.Model`.
        weights: hash of the checkpoint.
        look: with the map of ``choice.entry``.
        choice: :class:`Choice`.

    Returns:
        ordered JSON values.
    """
    height, width = visit.size
    method, layer = choice.entry
    return {
        "image": visit.name,
        "width": width,
        "height": height,
        "mode": model.mode,
        "method": method,
        "layer": layer,
        "class_index": look.class_index,
        "class_name": model.class_name(look.class_index),
        "probability": float(look.scores.probability[look.class_index]),
        "predicted_index": look.scores.predicted,
        "box": list(find_box(look.maps[choice.entry], visit.size, choice.threshold)),
        "threshold": choice.threshold,
        "alpha": json_number(choice.alpha),
        "checkpoint": model.label,
        "weights": weights,
        "head": model.head,
        "image_size": model.image_size,
        "fast": not reference_kernels(),
        "precision": FLOAT32,
    }


def json_bytes(record: Dict[str, Any]) -> bytes:
    """The record as the demo writes it."""
    return (json.dumps(record, indent=1) + "\n").encode("utf-8")


def npy_bytes(raw: np.ndarray) -> bytes:
    """The raw map as a ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, raw)
    return buffer.getvalue()


def png_bytes(visit: Visit, raw: np.ndarray, box: Box) -> bytes:
    """Overlay and box at the image's own size as a PNG."""
    drawn = draw_boxes(overlay(visit.image, postprocess.normalize(raw)), predicted=box)
    return encode_image(drawn, ".png")


def jpeg_bytes(picture: np.ndarray, quality: int = 88) -> bytes:
    """An image as the page shows it, as a JPEG."""
    return encode_image(picture, ".jpg", quality)


def file_stem(visit: Visit, model: Model, entry: Entry) -> str:
    """A name for the files of a result: letters, digits, dots, hyphens and underscores only."""
    parts = (visit.name.rsplit(".", 1)[0], model.mode, entry[1], entry[0])
    text = "_".join(part for part in parts if part)
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text).lstrip(".")
