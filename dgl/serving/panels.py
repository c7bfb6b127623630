"""The page's images and figures as HTML. Every text from outside is escaped here."""

import base64
from html import escape
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from dgl.attribution import METHODS
from dgl.predict.postprocess import iou
from dgl.serving.engine import Look
from dgl.serving.models import Entry, Model
from dgl.serving.results import Box, Choice, find_box, heat, heat_over, jpeg_bytes, with_box
from dgl.serving.sessions import Visit

_TOP = 5
_TITLES = {"vgg": "VGG16", "inceptionv3": "Inception-V3"}
SAMPLE_SIDE = 96


def backbone_title(mode: str) -> str:
    """A backbone's name in prose."""
    if mode in _TITLES:
        return _TITLES[mode]
    depth = mode.replace("resnet", "").replace("se", "")
    return "ResNet{}{}".format(depth, "-SE" if mode.endswith("se") else "")


def name_of(model: Model, class_index: int) -> str:
    """A class's name for reading: ``Golden_Cap`` is ``Golden Cap``, a number alone is ``class 7``."""
    name = model.class_name(class_index)
    return name.replace("_", " ") if model.class_names else "class " + name


def percent(share: float) -> str:
    """A probability: one decimal, and never rounded to a certainty that it is not."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def data_uri(picture: np.ndarray) -> str:
    """An image as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(picture)).decode("ascii")


def _figure(picture: np.ndarray, caption: str, alt: str, svg: str = "", kind: str = "") -> str:
    height, width = picture.shape[:2]
    return (
        f'<figure class="{kind}"><div class="dgl-frame"><img src="{data_uri(picture)}" alt="{escape(alt, quote=True)}" width="{width}" height="{height}">'
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


def one_map(visit: Visit, model: Model, look: Look, choice: Choice) -> str:
    """The image with its box, the overlay, and the map."""
    raw = look.maps[choice.entry]
    box = find_box(raw, visit.size, choice.threshold)
    figures = (
        _figure(with_box(visit, visit.shown, box), "Box", "the image with its box"),
        _figure(
            with_box(visit, heat_over(visit, raw), box),
            _title(model, choice.entry),
            "the map over the image",
        ),
        _figure(
            heat(visit, raw, choice.threshold),
            f"Map <small>{raw.shape[1]} × {raw.shape[0]}, outlined at {choice.threshold:g} of its maximum</small>",
            "the map",
        ),
    )
    return '<div class="dgl-three" {}>{}</div>'.format(
        _data(visit, box, choice.entry), "".join(figures)
    )


def _data(visit: Visit, box: Box, entry: Entry) -> str:
    """What a script may want to read: the box, the map, and how often a network ran for the picture."""
    return 'data-box="{}" data-method="{}" data-layer="{}" data-runs="{}"'.format(
        " ".join(map(str, box)), escape(entry[0]), escape(entry[1]), visit.runs
    )


def all_layers(visit: Visit, model: Model, look: Look, choice: Choice) -> str:
    """Every layer of a method, the last one first; each is a button that chooses it."""
    figures = []
    for entry, raw in look.maps.items():
        box = find_box(raw, visit.size, choice.threshold)
        caption = f"<b>{escape(_layer_text(model, entry))}</b> <small>{_extent(box)}</small>"
        figures.append(
            '<button type="button" data-layer="{}" data-box="{}" aria-pressed="{}">{}</button>'.format(
                model.layers.index(entry[1]) if entry[1] in model.layers else 0,
                " ".join(map(str, box)),
                "true" if entry == choice.entry else "false",
                _figure(with_box(visit, heat_over(visit, raw), box), caption, "map at " + entry[1]),
            )
        )
    return (
        '<p class="dgl-note">{} at every layer, from the last one back to the image. '
        'Choose one to see it large.</p><div class="dgl-grid" data-runs="{}">{}</div>'
    ).format(escape(METHODS[choice.entry[0]].title), visit.runs, "".join(figures))


def two_methods(visit: Visit, model: Model, look: Look, choice: Choice, other: Entry) -> str:
    """Two maps with their boxes, and both boxes on the picture."""
    entries = (choice.entry, other)
    boxes = [find_box(look.maps[entry], visit.size, choice.threshold) for entry in entries]
    overlap = float(iou(boxes[0], boxes[1])[0, 0]) if any(boxes[0]) and any(boxes[1]) else 0.0
    figures = [
        _figure(
            heat_over(visit, look.maps[entry]),
            f'<span class="dgl-{kind}">{kind.upper()}</span> {_title(model, entry)}',
            "map " + kind.upper(),
            _rectangles(visit, [(box, kind)]),
        )
        for entry, box, kind in zip(entries, boxes, "ab")
    ]
    figures.append(
        _figure(
            visit.shown,
            f"IoU <b>{overlap:.3f}</b> <small>of the two boxes</small>",
            "the image with both boxes",
            _rectangles(visit, list(zip(boxes, "ab"))),
        )
    )
    return (
        '<div class="dgl-three" data-iou="{:.6f}" data-boxes="{}" data-runs="{}">{}</div>'.format(
            overlap,
            ";".join(" ".join(map(str, box)) for box in boxes),
            visit.runs,
            "".join(figures),
        )
    )


def _rectangles(visit: Visit, boxes: Sequence[Tuple[Box, str]]) -> str:
    height, width = visit.size
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


def facts(visit: Visit, model: Model, look: Look, choice: Choice) -> str:
    """Class, probability and box in numbers."""
    height, width = visit.size
    box = find_box(look.maps[choice.entry], visit.size, choice.threshold)
    area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1) if any(box) else 0
    rows = (
        ("class", f"{escape(name_of(model, look.class_index))} <small>({look.class_index})</small>"),
        ("probability", percent(float(look.scores.probability[look.class_index]))),
        ("box", "<code>{}, {}, {}, {}</code>".format(*box) if any(box) else "none"),
        ("box size", f"{_extent(box)} <small>pixels, {percent(area / float(height * width))} of the image</small>"),
        ("picture", f"{escape(visit.name)} <small>{width} × {height}</small>"),
        ("map from", f"{escape(METHODS[choice.entry[0]].title)} <small>{escape(METHODS[choice.entry[0]].reference)}</small>"),
    )  # fmt: skip
    return '<dl class="dgl-facts">{}</dl>'.format(
        "".join("<dt>{}</dt><dd>{}</dd>".format(*row) for row in rows)
    )


def classes(model: Model, look: Look) -> str:
    """The five most probable classes as buttons, and the chosen one where it is none of them."""
    order = [int(index) for index in np.argsort(-look.scores.logits, kind="stable")[:_TOP]]
    if look.class_index not in order:
        order.append(look.class_index)
    buttons = []
    for index in order:
        share = float(look.scores.probability[index])
        buttons.append(
            '<button type="button" data-class="{}" aria-pressed="{}" style="--share:{:.4f}">'
            "<span>{}</span><output>{}</output></button>".format(
                index,
                "true" if index == look.class_index else "false",
                share,
                escape(name_of(model, index)),
                percent(share),
            )
        )
    return '<div class="dgl-classes" role="group" aria-label="class">{}</div>'.format(
        "".join(buttons)
    )


def samples(pictures: Dict[str, np.ndarray]) -> str:
    """Sample images as buttons, by name."""
    buttons = [
        f'<button type="button" data-sample="{index}" title="{escape(name, quote=True)}"><img src="{data_uri(picture)}" alt="{escape(name, quote=True)}"></button>'
        for index, (name, picture) in enumerate(pictures.items())
    ]
    return '<div class="dgl-samples" role="group" aria-label="sample images">{}</div>'.format(
        "".join(buttons)
    )


def about_model(model: Model) -> str:
    """Two lines on a checkpoint."""
    return f'<p class="dgl-model"><b>{escape(backbone_title(model.mode))}</b> · {model.classes} classes · input {model.image_size} × {model.image_size}<br>{escape(model.label)}</p>'


def knob(title: str, value: str, names: Sequence[str] = ()) -> str:
    """A slider's title and value; ``names`` are those that a script shows while the hand is on it."""
    return '<div class="dgl-knob" data-names="{}"><span>{}</span><output>{}</output></div>'.format(
        escape("|".join(names), quote=True), escape(title), escape(value)
    )


def status(text: Optional[str] = None, is_error: bool = False) -> str:
    """The line for what went wrong, or for what was computed."""
    return '<p class="dgl-status{}" role="{}">{}</p>'.format(
        " dgl-error" if is_error else "", "alert" if is_error else "status", escape(text or "")
    )


def class_choices(model: Model, most: int = 2000) -> List[Tuple[str, str]]:
    """(text, number) of every class for a list to choose from; empty where there are too many."""
    if model.classes > most:
        return []
    if not model.class_names:
        return [(str(index), str(index)) for index in range(model.classes)]
    return [(f"{name_of(model, index)} ({index})", str(index)) for index in range(model.classes)]
