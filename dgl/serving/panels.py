"""Parts of the page as HTML: images with maps and boxes, facts, classes, sliders' labels.

Every text from outside is escaped here.
"""

import base64
from html import escape
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from dgl.attribution import METHODS
from dgl.data.image_io import encode_image
from dgl.predict import postprocess
from dgl.predict.normalize import Normalization
from dgl.predict.overlay import colorize, draw_boxes, heat_with_region
from dgl.serving.engine import Result
from dgl.serving.models import Entry, Model
from dgl.serving.sessions import Session

Box = Tuple[int, int, int, int]

_TOP = 5
_QUALITY = 88
_TITLES = {"vgg": "VGG16", "inceptionv3": "Inception-V3"}
SAMPLE_SIDE = 96


class Choice(NamedTuple):
    """The map to show: of which checkpoint (index), method and layer, and how it is made and binarized."""

    checkpoint: int
    entry: Entry
    alpha: float
    threshold: float
    normalization: Normalization


def find_box(raw: np.ndarray, size: Tuple[int, int], choice: Choice) -> Box:
    """The box of a raw map (h, w) in an image (height, width), as ``dgl localize`` finds it.

    Returns:
        (x0, y0, x1, y1) in pixels of the image; all 0 if there is none.
    """
    score_map = postprocess.score_map(raw, *size, normalization=choice.normalization)
    x0, y0, x1, y1 = (int(v) for v in postprocess.largest_box(score_map, choice.threshold))
    return x0, y0, x1, y1


def heat(session: Session, raw: np.ndarray, choice: Choice) -> np.ndarray:
    """Colors of a raw map with the region above the threshold outlined, uint8 RGB at the size shown."""
    height, width = session.shown.shape[:2]
    score_map = postprocess.score_map(raw, height, width, choice.normalization)
    colors = colorize(score_map)
    mask = postprocess.binarize(score_map, choice.threshold)
    colors[mask > cv2.erode(mask, np.ones((3, 3), np.uint8))] = 255
    return colors


def heat_over(
    session: Session, raw: np.ndarray, choice: Choice, box: Optional[Box] = None
) -> np.ndarray:
    """The image under the map, outlined at the threshold, with a color bar and perhaps a box.

    The box is in pixels of the visitor's image; see :func:`~dgl.predict.overlay.heat_with_region`.
    """
    height, width = session.shown.shape[:2]
    score_map = postprocess.score_map(raw, height, width, choice.normalization)
    scaled = None if box is None else _at_size_shown(session, box)
    return heat_with_region(session.shown, score_map, choice.threshold, scaled)


def _at_size_shown(session: Session, box: Box) -> np.ndarray:
    """A box in pixels of the visitor's image in those of the image shown."""
    (height, width), (full_height, full_width) = session.shown.shape[:2], session.size
    scale: np.ndarray = np.multiply(box, (width / full_width, height / full_height) * 2)
    return scale


def backbone_title(mode: str) -> str:
    """A backbone's name as papers write it."""
    if mode in _TITLES:
        return _TITLES[mode]
    if mode.startswith("efficientnet_lite"):
        return "EfficientNet-Lite" + mode[len("efficientnet_lite") :]
    depth = mode.replace("resnet", "").replace("se", "")
    return "ResNet{}{}".format(depth, "-SE" if mode.endswith("se") else "")


def name_of(model: Model, class_index: int) -> str:
    """A class's name to show: ``Golden Cap`` for ``Golden_Cap``, ``class 7`` without a name."""
    name = model.class_names.name(class_index)
    return name.replace("_", " ") if model.class_names else "class " + name


def percent(value: float) -> str:
    """A probability with one decimal, never rounded to 0 or 100 %."""
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %"


def data_uri(image: np.ndarray) -> str:
    """A ``data:`` URL of an image as a JPEG."""
    jpeg = encode_image(image, ".jpg", _QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _figure(image: np.ndarray, caption: str, alt: str, svg: str = "", kind: str = "") -> str:
    height, width = image.shape[:2]
    return (
        f'<figure class="{kind}"><div class="dgl-frame"><img src="{data_uri(image)}" '
        f'alt="{escape(alt, quote=True)}" width="{width}" height="{height}">'
        f"{svg}</div><figcaption>{caption}</figcaption></figure>"
    )


def _layer_text(model: Model, entry: Entry) -> str:
    if entry[1] not in model.layers:
        return "no layer"
    return f"{entry[1]} ({model.layers.index(entry[1])})"


def _title(model: Model, entry: Entry) -> str:
    return (
        f"{escape(METHODS[entry[0]].title)} <small>at {escape(_layer_text(model, entry))}</small>"
    )


def one_map(session: Session, model: Model, result: Result, choice: Choice) -> str:
    """The image with its box, the overlay, and the map."""
    raw = result.maps[choice.entry]
    box = find_box(raw, session.size, choice)
    figures = (
        _figure(
            draw_boxes(session.shown, predicted=_at_size_shown(session, box)),
            "Box",
            "the image with its box",
        ),
        _figure(
            heat_over(session, raw, choice, box),
            _title(model, choice.entry),
            "the map over the image, the threshold at the middle of its colors",
        ),
        _figure(
            heat(session, raw, choice),
            f"Map <small>{raw.shape[1]} × {raw.shape[0]}, outlined at {choice.threshold:g} of its "
            "maximum</small>",
            "the map",
        ),
    )
    return '<div class="dgl-three" {}>{}</div>'.format(
        _data(session, box, choice.entry), "".join(figures)
    )


def _data(session: Session, box: Box, entry: Entry) -> str:
    """Attributes for scripts: box, method, layer, and how often a network ran for the image."""
    return 'data-box="{}" data-method="{}" data-layer="{}" data-runs="{}"'.format(
        " ".join(map(str, box)), escape(entry[0]), escape(entry[1]), session.runs
    )


def all_layers(session: Session, model: Model, result: Result, choice: Choice) -> str:
    """A method at every layer, last to first; each is a button that selects the layer."""
    figures, width = [], session.shown.shape[1]  # without the bar of colors
    for entry, raw in result.maps.items():
        box = find_box(raw, session.size, choice)
        caption = f"<b>{escape(_layer_text(model, entry))}</b> <small>{_extent(box)}</small>"
        figures.append(
            '<button type="button" data-layer="{}" data-box="{}" aria-pressed="{}">{}</button>'.format(
                model.layers.index(entry[1]) if entry[1] in model.layers else 0,
                " ".join(map(str, box)),
                "true" if entry == choice.entry else "false",
                _figure(
                    heat_over(session, raw, choice, box)[:, :width], caption, "map at " + entry[1]
                ),
            )
        )
    return (
        '<p class="dgl-note">{} at every layer, from the last to the first. '
        'Click one to see it large.</p><div class="dgl-grid" data-runs="{}">{}</div>'
    ).format(escape(METHODS[choice.entry[0]].title), session.runs, "".join(figures))


def two_methods(
    session: Session, model: Model, result: Result, choice: Choice, other: Choice
) -> str:
    """Two maps with their boxes, and both boxes on the image."""
    choices = (choice, other)
    boxes = [find_box(result.maps[one.entry], session.size, one) for one in choices]
    overlap = (
        float(postprocess.iou(boxes[0], boxes[1])[0, 0]) if any(boxes[0]) and any(boxes[1]) else 0.0
    )
    figures = [
        _figure(
            heat_over(session, result.maps[one.entry], one)[:, : session.shown.shape[1]],
            f'<span class="dgl-{kind}">{kind.upper()}</span> {_title(model, one.entry)}',
            "map " + kind.upper(),
            _rectangles(session, [(box, kind)]),
        )
        for one, box, kind in zip(choices, boxes, "ab")
    ]
    figures.append(
        _figure(
            session.shown,
            f"IoU <b>{overlap:.3f}</b> <small>of the two boxes</small>",
            "the image with both boxes",
            _rectangles(session, list(zip(boxes, "ab"))),
        )
    )
    return (
        '<div class="dgl-three" data-iou="{:.6f}" data-boxes="{}" data-runs="{}">{}</div>'.format(
            overlap,
            ";".join(" ".join(map(str, box)) for box in boxes),
            session.runs,
            "".join(figures),
        )
    )


def _rectangles(session: Session, boxes: Sequence[Tuple[Box, str]]) -> str:
    height, width = session.size
    shapes = []
    for (x0, y0, x1, y1), kind in boxes:
        if (x0, y0, x1, y1) != (0, 0, 0, 0):
            for part in ("dgl-rim", "dgl-line-" + kind):
                shapes.append(
                    f'<rect class="{part}" x="{x0}" y="{y0}" width="{x1 - x0}" height="{y1 - y0}"/>'
                )
    return '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'.format(
        width, height, "".join(shapes)
    )


def _extent(box: Box) -> str:
    if not any(box):
        return "no box"
    return f"{box[2] - box[0] + 1} × {box[3] - box[1] + 1}"


def facts(session: Session, model: Model, result: Result, choice: Choice) -> str:
    """Class, probability and box in numbers."""
    height, width = session.size
    box = find_box(result.maps[choice.entry], session.size, choice)
    area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1) if any(box) else 0
    method = METHODS[choice.entry[0]]
    name, share = name_of(model, result.class_index), percent(area / float(height * width))
    rows = (
        ("class", f"{escape(name)} <small>({result.class_index})</small>"),
        ("probability", percent(float(result.scores.probability[result.class_index]))),
        ("box", "<code>{}, {}, {}, {}</code>".format(*box) if any(box) else "none"),
        ("box size", f"{_extent(box)} <small>pixels, {share} of the image</small>"),
        ("image", f"{escape(session.name)} <small>{width} × {height}</small>"),
        ("map from", f"{escape(method.title)} <small>{escape(method.reference)}</small>"),
    )
    return '<dl class="dgl-facts">{}</dl>'.format(
        "".join("<dt>{}</dt><dd>{}</dd>".format(*row) for row in rows)
    )


def classes(model: Model, result: Result) -> str:
    """The five most probable classes as buttons, and the selected one if it is not among them."""
    order = [int(index) for index in np.argsort(-result.scores.logits, kind="stable")[:_TOP]]
    if result.class_index not in order:
        order.append(result.class_index)
    buttons = []
    for index in order:
        probability = float(result.scores.probability[index])
        buttons.append(
            '<button type="button" data-class="{}" aria-pressed="{}" style="--share:{:.4f}">'
            "<span>{}</span><output>{}</output></button>".format(
                index,
                "true" if index == result.class_index else "false",
                probability,
                escape(name_of(model, index)),
                percent(probability),
            )
        )
    return '<div class="dgl-classes" role="group" aria-label="class">{}</div>'.format(
        "".join(buttons)
    )


def samples(images: Dict[str, np.ndarray], credit: str = "") -> str:
    """Sample images as buttons, by name, and a line that names who took them."""
    buttons = [
        f'<button type="button" data-sample="{index}" title="{name}">'
        f'<img src="{data_uri(image)}" alt="{name}"></button>'
        for index, (name, image) in enumerate(
            (escape(name, quote=True), image) for name, image in images.items()
        )
    ]
    note = f'<p class="dgl-note"><small>{escape(credit)}</small></p>' if credit else ""
    return '<div class="dgl-samples" role="group" aria-label="sample images">{}</div>{}'.format(
        "".join(buttons), note
    )


def about_model(model: Model) -> str:
    """A checkpoint in two lines."""
    side = model.image_size
    return (
        f'<p class="dgl-model"><b>{escape(backbone_title(model.mode))}</b> · '
        f"{model.classes} classes · input {side} × {side}<br>{escape(model.label)}</p>"
    )


def slider_label(title: str, value: str, names: Sequence[str] = ()) -> str:
    """A slider's title and value; ``names`` are the values that a script shows as it moves."""
    return '<div class="dgl-knob" data-names="{}"><span>{}</span><output>{}</output></div>'.format(
        escape("|".join(names), quote=True), escape(title), escape(value)
    )


def status(text: Optional[str] = None, is_error: bool = False) -> str:
    """The status line: an error, or how long the last result took."""
    return '<p class="dgl-status{}" role="{}">{}</p>'.format(
        " dgl-error" if is_error else "", "alert" if is_error else "status", escape(text or "")
    )


def class_choices(model: Model, most: int = 2000) -> List[Tuple[str, str]]:
    """(text, number) of every class; empty if there are more than ``most``."""
    if model.classes > most:
        return []
    if not model.class_names:
        return [(str(index), str(index)) for index in range(model.classes)]
    return [(f"{name_of(model, index)} ({index})", str(index)) for index in range(model.classes)]
