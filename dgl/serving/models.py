"""What the page knows of a checkpoint before its network is built: backbone, layers, classes, input."""

import re
from typing import List, NamedTuple, Optional, Tuple

from dgl.attribution import METHODS
from dgl.attribution.build import IMAGE_LAYER
from dgl.attribution.registry import IMAGE, LAST
from dgl.backbones import BACKBONES, get_backbone
from dgl.errors import UserError
from dgl.predict.predictor import DEFAULT_IMAGE_SIZE
from dgl.serving.limits import shown_name
from dgl.weights import find_weights, open_checkpoint, options_from, read_card
from dgl.weights.identify import identify

Entry = Tuple[str, str]


class Model(NamedTuple):
    """What is known of a checkpoint before its network is built.

    Attributes:
        path: its file or prefix.
        label: what the page calls it: its name without the folder.
        mode: backbone name.
        layers: names by index; index 0 feeds global average pooling.
        classes: number of logits.
        class_names: one name a class, or ``None``.
        image_size: side of the square input in pixels.
        head: scope of the classification layer.
    """

    path: str
    label: str
    mode: str
    layers: Tuple[str, ...]
    classes: int
    class_names: Optional[Tuple[str, ...]]
    image_size: int
    head: str

    def class_name(self, class_index: int) -> str:
        """The class's name from the model card, or its number as text."""
        names = self.class_names
        return names[class_index] if names and class_index < len(names) else str(class_index)

    def find_class(self, text: str) -> int:
        """The class of a number or a name.

        Args:
            text: str, what a visitor typed; case and the difference of ``_`` and space do not matter.

        Raises:
            UserError: no such class.
        """
        text = str(text).strip()
        if re.fullmatch("[0-9]{1,9}", text) and int(text) < self.classes:
            return int(text)
        wanted = _plain(text)
        for index, name in enumerate((self.class_names or ())[: self.classes]):
            if _plain(name) == wanted:
                return index
        raise UserError(
            "class {}: expected a number from 0 to {}{}".format(
                shown_name(text), self.classes - 1, " or a name" if self.class_names else ""
            )
        )

    def entry(self, method: str, layer: int) -> Entry:
        """The (method, layer) of a map.

        Args:
            method: a name of :data:`dgl.attribution.METHODS`.
            layer: index; methods with a layer of their own ignore it.

        Raises:
            UserError: no such method or layer.
        """
        if method not in METHODS or not 0 <= layer < len(self.layers):
            raise UserError(f"no map of {shown_name(str(method))} at layer {layer}")
        own = {LAST: self.layers[0], IMAGE: IMAGE_LAYER}
        return method, own.get(METHODS[method].layers, self.layers[layer])

    def entries(self, method: str) -> List[Entry]:
        """All maps of a method, from the last layer to the first."""
        every = [self.entry(method, layer) for layer in range(len(self.layers))]
        return list(dict.fromkeys(every))


def _plain(name):
    return str(name).replace("_", " ").strip().lower()


def describe(load: str, data_set: Optional[str] = None) -> Model:
    """Read what a checkpoint is, without building its network.

    Args:
        load: a checkpoint's path, or a short name for ImageNet weights.
        data_set: decides between several heads of a checkpoint.

    Raises:
        UserError: no checkpoint, or none of a known backbone.
    """
    path = load
    for backbone in BACKBONES.values():
        if load in backbone.pretrained:
            path = find_weights(backbone, load)
            break
    checkpoint = open_checkpoint(path)
    backbone = get_backbone(identify(checkpoint))
    card = read_card(path)
    last_stride = card.last_stride if card else 1
    options = options_from(backbone, checkpoint, data_set, last_stride=last_stride)
    return Model(
        path=path,
        label=_label(path),
        mode=backbone.mode,
        layers=backbone.layers,
        classes=options.classes,
        class_names=card.class_names if card else None,
        image_size=card.image_size if card else DEFAULT_IMAGE_SIZE,
        head=options.head,
    )


def _label(path):
    parts = path.replace("\\", "/").rstrip("/").split("/")
    # Training names its checkpoints by step; the folder says more.
    return shown_name(parts[-1]) if len(parts) < 2 else "/".join(map(shown_name, parts[-2:]))
