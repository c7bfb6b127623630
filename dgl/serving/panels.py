"""Parts of the page as HTML: images with maps and boxes, facts, classes, sliders' labels.

The template `panels.html.j2` escapes every text from outside.
"""

import base64
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import jinja2
import numpy as np

from dgl.attribution import METHODS
from dgl.data.image_io import encode_image
from dgl.predict import postprocess
from dgl.predict.overlay import colorize, draw_boxes, heat_with_region
from dgl.predict.postprocess import Normalization
from dgl.predict.session import Entry
from dgl.serving.engine import Result
from dgl.serving.models import Model
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

    def score_map(self, raw: np.ndarray, image: np.ndarray) -> np.ndarray:
        """A raw map (h, w) at the size of an image, float32 (H, W) in [0, 1]."""
        height, width = image.shape[:2]
        return postprocess.score_map(raw, height, width, self.normalization)


def find_box(session: Session, raw: np.ndarray, choice: Choice) -> Box:
    """The box of a raw map (h, w) in the visitor's image, as ``dgl localize`` finds it.

    Returns:
        (x0, y0, x1, y1) in pixels of the image; all 0 if there is none.
    """
    score_map = choice.score_map(raw, session.image)
    x0, y0, x1, y1 = (int(v) for v in postprocess.largest_box(score_map, choice.threshold))
    return x0, y0, x1, y1


def heat(session: Session, raw: np.ndarray, choice: Choice) -> np.ndarray:
    """Colors of a raw map with the region above the threshold outlined, uint8 RGB at the size shown."""
    score_map = choice.score_map(raw, session.shown)
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
    scaled = None if box is None else _at_size_shown(session, box)
    score_map = choice.score_map(raw, session.shown)
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


def _layer_text(model: Model, entry: Entry) -> str:
    if entry[1] not in model.layers:
        return "no layer"
    return f"{entry[1]} ({model.layers.index(entry[1])})"


def _extent(box: Box) -> str:
    if not any(box):
        return "no box"
    return f"{box[2] - box[0] + 1} × {box[3] - box[1] + 1}"


def _load_macros() -> Any:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["methods"] = METHODS
    environment.filters.update(
        backbone_title=backbone_title,
        class_name=name_of,
        data_uri=data_uri,
        extent=_extent,
        layer=_layer_text,
        percent=percent,
    )
    return environment.get_template("panels.html.j2").module


_MACROS = _load_macros()


def one_map(session: Session, model: Model, result: Result, choice: Choice) -> str:
    """The image with its box, the overlay, and the map."""
    raw = result.maps[choice.entry]
    box = find_box(session, raw, choice)
    boxed = draw_boxes(session.shown, predicted=_at_size_shown(session, box))
    images = boxed, heat_over(session, raw, choice, box), heat(session, raw, choice)
    return str(_MACROS.one_map(session, model, choice, box, raw, *images))


def all_layers(session: Session, model: Model, result: Result, choice: Choice) -> str:
    """A method at every layer, last to first; each is a button that selects the layer."""
    rows, width = [], session.shown.shape[1]  # without the bar of colors
    for entry, raw in result.maps.items():
        box = find_box(session, raw, choice)
        index = model.layers.index(entry[1]) if entry[1] in model.layers else 0
        rows.append((entry, box, index, heat_over(session, raw, choice, box)[:, :width]))
    return str(_MACROS.all_layers(session, model, choice, rows))


def two_methods(
    other: Choice, session: Session, model: Model, result: Result, choice: Choice
) -> str:
    """The map chosen and another with their boxes, and both boxes on the image."""
    choices, width = (choice, other), session.shown.shape[1]
    boxes = [find_box(session, result.maps[one.entry], one) for one in choices]
    images = [heat_over(session, result.maps[one.entry], one)[:, :width] for one in choices]
    overlap = float(postprocess.iou(*boxes)[0, 0]) if all(map(any, boxes)) else 0.0
    return str(_MACROS.two_methods(session, model, choices, boxes, images, overlap))


def facts(session: Session, model: Model, result: Result, choice: Choice) -> str:
    """Class, probability and box in numbers."""
    box = find_box(session, result.maps[choice.entry], choice)
    area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1) if any(box) else 0
    return str(_MACROS.facts(session, model, result, choice, box, area))


def classes(model: Model, result: Result) -> str:
    """The five most probable classes as buttons, and the selected one if it is not among them."""
    order = [int(index) for index in np.argsort(-result.scores.logits, kind="stable")[:_TOP]]
    if result.class_index not in order:
        order.append(result.class_index)
    return str(_MACROS.classes(model, result, order))


def samples(images: Dict[str, np.ndarray], credit: str = "") -> str:
    """Sample images as buttons, by name, and a line that names who took them."""
    return str(_MACROS.samples(images, credit))


def about_model(model: Model) -> str:
    """A checkpoint in two lines."""
    return str(_MACROS.about_model(model))


def slider_label(title: str, value: str, names: Sequence[str] = ()) -> str:
    """A slider's title and value; ``names`` are the values that a script shows as it moves."""
    return str(_MACROS.slider_label(title, value, names))


def status(text: str = "", is_error: bool = False) -> str:
    """The status line: an error, or how long the last result took."""
    return str(_MACROS.status(text, is_error))


def class_choices(model: Model, most: int = 2000) -> List[Tuple[str, str]]:
    """(text, number) of every class; empty if there are more than ``most``."""
    if model.classes > most:
        return []
    if not model.class_names:
        return [(str(index), str(index)) for index in range(model.classes)]
    return [(f"{name_of(model, index)} ({index})", str(index)) for index in range(model.classes)]
