"""Published ImageNet weights, as the backbones describe them: files, preprocessing and names of variables.

Each backbone's file lists the files that fit it and maps its variables to the names in them;
:mod:`dgl.weights.identify` recognizes files by them, :mod:`dgl.weights.sources` says where they are.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

# ImageNet statistics in RGB order, on a [0, 1] scale.
IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGENET_STD_RGB = (0.229, 0.224, 0.225)

Shapes = Mapping[str, Tuple[int, ...]]

TENSORPACK, SLIM, KERAS, TORCHVISION = "tensorpack", "slim", "keras", "torchvision"
EFFICIENTNET = "efficientnet"
PUBLISHERS = {
    TENSORPACK: "tensorpack's model zoo",
    SLIM: "TF-slim",
    KERAS: "Keras applications",
    TORCHVISION: "torchvision",
    EFFICIENTNET: "efficientnet-lite-pytorch",
}
DGL_AUTHORS = "DGL's authors"  # of trained checkpoints, which nothing has to convert

# Endings of names of PyTorch for those of this project.
_TORCH_ENDINGS = (
    ("/(W|gamma)$", ".weight"),
    ("/(b|beta)$", ".bias"),
    ("/mean/EMA$", ".running_mean"),
    ("/variance/EMA$", ".running_var"),
)

# Kind of weight -> leaf names of Keras 2, then of Keras 1, in which `running_std` is a variance.
_KERAS_KINDS = {
    "kernel": ("kernel", "W"),
    "bias": ("bias", "b"),
    "beta": ("beta",),
    "moving_mean": ("moving_mean", "running_mean"),
    "moving_variance": ("moving_variance", "running_std"),
}

CODE_APACHE = "not stated (code Apache-2.0)"
CODE_BSD = "not stated (code BSD-3-Clause)"


OWN_STRIDES = "dgl"  # a ResNet's strides as in the paper


@dataclass(frozen=True)
class Preprocessing:
    """The input of a network: ``(value - mean) / std`` of each pixel, channel by channel."""

    order: str  # `"rgb"` or `"bgr"`, the order of the network's input channels
    # mean, std: in that order, on the scale 0 to 255
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    text: str  # the same for people

    def in_order(self, order: str) -> "Preprocessing":
        """The same means and scales for input channels in ``order``."""
        if order == self.order:
            return self
        text = f"{order.upper()}{self.text[3:]}"
        return replace(self, order=order, mean=self.mean[::-1], std=self.std[::-1], text=text)


OURS = Preprocessing(
    "bgr",
    tuple(255 * value for value in IMAGENET_MEAN_RGB[::-1]),
    tuple(255 * value for value in IMAGENET_STD_RGB[::-1]),
    "BGR, ImageNet mean and deviation",
)
TORCH = OURS.in_order("rgb")
CAFFE = Preprocessing(
    "bgr", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), "BGR minus the Caffe means"
)
MINUS_ONE_TO_ONE = Preprocessing(
    "rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5), "RGB / 127.5 - 1"
)


@dataclass(frozen=True)
class PublishedFile:
    """One file of published weights."""

    publisher: str  # a key of PUBLISHERS
    file_name: str  # as published, or as in the published archive
    url: str  # where its publisher documents it to be
    preprocessing: Preprocessing  # of the publisher's network
    license: str  # of the weights, as far as it is stated
    differs: str  # how our network differs from the publisher's
    # What the publisher says to check it with: `"md5:..."`, or `"sha256:..."` with the first digits
    # only; `""` where nothing is said
    digest: str = ""
    # Size in units of 10^6 bytes as its publisher states it, or `None`
    megabytes: Optional[float] = None
    # Value of `--strides` with which the weights classify as they were trained to
    strides: str = OWN_STRIDES


def tensorpack_file(
    folder: str, name: str, preprocessing: Preprocessing, license: str, differs: str
) -> PublishedFile:
    """A file of tensorpack's model zoo."""
    url = f"http://models.tensorpack.com/{folder}/{name}"
    return PublishedFile(TENSORPACK, name, url, preprocessing, license, differs)


def keras_files(
    folder: str,
    preprocessing: Preprocessing,
    license: str,
    differs: str,
    checks: Sequence[Tuple[str, float]],
) -> Iterator[PublishedFile]:
    """The files of a Keras application, with and without top.

    ``checks`` has (MD5, megabytes) of each: the ``file_hash`` in Keras's code, the size that it prints.
    """
    for top, (md5, megabytes) in zip(("", "_notop"), checks):
        name = f"{folder}_weights_tf_dim_ordering_tf_kernels{top}.h5"
        url = f"https://storage.googleapis.com/tensorflow/keras-applications/{folder}/{name}"
        yield PublishedFile(
            KERAS, name, url, preprocessing, license, differs, "md5:" + md5, megabytes
        )


def torchvision_file(name: str, differs: str, mebibytes: float) -> PublishedFile:
    """A file of torchvision, whose name ends in the first digits of its SHA-256.

    ``mebibytes`` is ``_file_size`` in torchvision's code.
    """
    url = "https://download.pytorch.org/models/" + name
    digest = "sha256:" + name.rsplit("-", 1)[1].split(".")[0]
    size = round(mebibytes * 1.048576, 1)
    return PublishedFile(TORCHVISION, name, url, TORCH, CODE_BSD, differs, digest, size)


def released_checkpoint(name: str, drive_id: str) -> PublishedFile:
    """A DGL checkpoint of the paper's authors, from the README of github.com/chuangchuangtan/DGL."""
    url = f"https://drive.google.com/file/d/{drive_id}/view"
    differs = "the network itself, fine-tuned on ILSVRC"
    return PublishedFile(DGL_AUTHORS, name + ".npz", url, OURS, "not stated", differs)


class Piece(NamedTuple):
    """The source of a variable: its name in the published file, and the transposition that it needs."""

    name: str
    axes: Tuple[int, ...] = ()  # this project's order of the stored ones, where it is another

    def array(self, stored: Any) -> Any:
        """The variable's value, given what is stored."""
        return stored.transpose(self.axes) if self.axes else stored

    def ours(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        """A stored shape in this project's order of axes."""
        return tuple(shape[axis] for axis in self.axes) if len(shape) == len(self.axes) else shape

    def theirs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        """A shape of this project's as the publisher stores it."""
        places = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return tuple(shape[place] for place in places) if self.axes else shape


# `pieces(shapes, names)` -> ordered variable name -> Piece, for this project's variable names in the order
# of the network. A piece may be absent from `shapes`.
Pieces = Callable[[Shapes, Sequence[str]], Dict[str, Piece]]
EXACT, NEAR = "exact", "near"


@dataclass(frozen=True)
class PublishedNames:
    """How one publisher names the variables of a backbone."""

    publisher: str  # a key of PUBLISHERS
    # `fits(shapes)` -> EXACT for a file of this backbone, NEAR for one of the same family whose
    # depth is unclear, `None` for any other
    fits: Callable[[Shapes], Optional[str]]
    pieces: Pieces
    # `check(checkpoint)` raises UserError for a file that has the names but other contents
    check: Callable[[Any], None] = lambda checkpoint: None
    # `variables(shapes)` -> the names of this project's variables that a file fills. With it
    # `--load` takes the file as it is; the publisher's preprocessing must be the backbone's own
    variables: Optional[Callable[[Shapes], Sequence[str]]] = None


def by_name(piece_of: Callable[[str], Piece]) -> Pieces:
    """The ``pieces`` of a publisher whose names follow from this project's."""
    return lambda shapes, names: {name: piece_of(name) for name in names}


def torch_names(*rules: Tuple[str, str]) -> Pieces:
    """The ``pieces`` of a PyTorch state dict.

    ``rules`` are regular expressions for layers of this project and what takes their place, in turn.
    """

    def piece_of(name: str) -> Piece:
        found = name
        for pattern, new in (*rules, *_TORCH_ENDINGS):
            found = re.sub(pattern, new, found)
        if not name.endswith("/W"):
            return Piece(found)
        # PyTorch has (outputs, inputs, rows, columns), or (outputs, inputs).
        convolution = (2, 3, 0, 1) if "depthwise/" in name else (2, 3, 1, 0)
        return Piece(found, (1, 0) if name.startswith("linear") else convolution)

    return by_name(piece_of)


same_names = by_name(Piece)  # of a publisher who uses this project's own names


def find_keras_layers(shapes: Shapes) -> Dict[str, Dict[str, str]]:
    """Layers in a file of Keras's: layer -> {kind of weight: name in the file}, in the file's order."""
    layers: Dict[str, Dict[str, str]] = {}
    for name in shapes:
        layer, _, leaf = name.partition("/")
        leaf = leaf.split("/")[-1].split(":")[0]
        for kind, forms in _KERAS_KINDS.items():
            # Keras 1 repeats the layer's name in front, and TensorFlow may number the end.
            pattern = "(?:{}_)?(?:{})(?:_\\d+)?$".format(re.escape(layer), "|".join(forms))
            if re.match(pattern, leaf):
                layers.setdefault(layer, {})[kind] = name
    return layers
