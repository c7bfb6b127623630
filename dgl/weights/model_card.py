"""The model card beside a checkpoint: its backbone, input size, class names and data set.

Training writes ``model.json`` into its log folder; ``NAME.npz`` has ``NAME.json``. Released checkpoints
have none: a card only supplies defaults.
"""

import json
import logging
import os
from dataclasses import asdict, dataclass
from typing import Optional, Tuple

from dgl.backbones.published import OWN_STRIDES
from dgl.backbones.registry import Backbone, BuildOptions
from dgl.data.class_names import IMAGENET_CLASSES, ClassNames, imagenet_class_names
from dgl.data.sample import DataSet
from dgl.errors import UserError, first_line
from dgl.utils.files import read_bounded, write_json
from dgl.weights.formats.registry import quoted

CARD_FILE = "model.json"
# What --image_size takes; networks halve their input five times.
LEAST_SIDE, MOST_SIDE = 32, 4096
_logger = logging.getLogger(__name__)
# Names of a million classes; what is larger is no card.
_MOST_BYTES = 1 << 26


@dataclass(frozen=True)
class ModelCard:
    """What is worth knowing about a checkpoint.

    Attributes:
        mode: backbone.
        image_size: side of the square input in pixels.
        class_names: one name a class, or ``None``.
        data_set: name of the data it was trained on.
        last_stride: stride of a ResNet's last group.
        strides: where a ResNet is strided, see :attr:`~dgl.backbones.Backbone.strides`.
    """

    mode: str
    image_size: int
    class_names: Optional[Tuple[str, ...]] = None
    data_set: str = ""
    last_stride: int = 1
    strides: str = OWN_STRIDES


def card_of(mode: str, options: BuildOptions, image_size: int, training: DataSet) -> ModelCard:
    """The card of a network that is trained on a data set."""
    return ModelCard(
        mode, image_size, training.class_names, training.name, options.last_stride, options.strides
    )


def default_image_size(backbone: Backbone, card: Optional[ModelCard]) -> int:
    """Side of the input in pixels: the model card's, else the backbone's."""
    return backbone.image_size if card is None else card.image_size


def check_image_size(image_size: Optional[int], flag: str = "--image_size") -> None:
    """Check an explicit side of the input; ``None`` passes.

    Raises:
        UserError: it is out of range.
    """
    if image_size is not None and not LEAST_SIDE <= image_size <= MOST_SIDE:
        raise UserError(f"{flag} {image_size}: expected {LEAST_SIDE} to {MOST_SIDE}")


def write_card(path: str, card: ModelCard) -> None:
    """Write ``card`` as JSON, atomically."""
    write_json(path, asdict(card))


def class_names_of(
    card: Optional[ModelCard], backbone: Backbone, head: str, classes: int
) -> ClassNames:
    """The names of a checkpoint's classes.

    They are the card's. Without any, 1,000 logits of the head that is named for ImageNet are taken for
    ImageNet's classes, unless the card says that the data were others. ``head`` is the scope of the
    classification layer, ``classes`` the number of its logits.
    """
    if card is not None and card.class_names:
        if len(card.class_names) != classes:
            _logger.warning(
                "the model card has %d class names, but the checkpoint has %d outputs; names may be off",
                len(card.class_names),
                classes,
            )
        return ClassNames.of(card.class_names, classes)
    data_set = card.data_set.lower() if card is not None else ""
    if data_set and "imagenet" not in data_set and "ilsvrc" not in data_set:
        return ClassNames(classes=classes)
    is_imagenet = classes == IMAGENET_CLASSES and head == backbone.head_name("imagenet", classes)
    return imagenet_class_names() if is_imagenet else ClassNames(classes=classes)


def read_card(checkpoint_path: str) -> Optional[ModelCard]:
    """The card of a checkpoint, or ``None`` when it has none.

    Raises:
        UserError: a card is there but is not one.
    """
    folder = checkpoint_path if os.path.isdir(checkpoint_path) else os.path.dirname(checkpoint_path)
    own = os.path.splitext(checkpoint_path)[0] + ".json"
    for path in (own, os.path.join(folder, CARD_FILE)):
        if not os.path.isfile(path):
            continue
        data = read_bounded(path, _MOST_BYTES, "a model card")
        try:
            # Whole numbers too as float: int() takes a time quadratic in the number of digits.
            values = json.loads((data or b"").decode("utf-8"), parse_int=float)
            names = values.get("class_names")
            if isinstance(names, str):
                raise ValueError("class_names is no list")
            card = ModelCard(
                mode=str(values["mode"]),
                image_size=int(values["image_size"]),
                class_names=tuple(str(name) for name in names) if names else None,
                data_set=str(values.get("data_set", "")),
                last_stride=int(values.get("last_stride", 1)),
                strides=str(values.get("strides", OWN_STRIDES)),
            )
            if not 1 <= card.image_size <= MOST_SIDE or card.last_stride not in (1, 2):
                raise ValueError(f"expected a side of 1 to {MOST_SIDE} and a stride of 1 or 2")
            return card
        except Exception as error:  # whatever may be wrong with it
            raise UserError(
                f"{path}: not a model card ({quoted(first_line(error))}); expected JSON with mode and "
                "image_size"
            ) from None
    return None
