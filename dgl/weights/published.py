"""Published ImageNet weights: the files, where they are, what their networks expect.

The one home of these facts; messages, ``python -m dgl.weights.convert`` and ``docs/weights.md`` take them
from here. Sources: tensorpack's ``examples`` (``ResNet/README.md``, ``CaffeModels/load-vgg16.py``,
``ImageNetModels/imagenet_utils.py``), TF-slim's README and ``inception_preprocessing.py``, the
``WEIGHTS_PATH`` and ``preprocess_input`` of Keras's applications, torchvision's ``vgg.py`` and
``resnet.py``.
"""

import os
from dataclasses import dataclass, replace
from typing import Optional, Tuple

from dgl.backbones.registry import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB

TENSORPACK, SLIM, KERAS, TORCHVISION = "tensorpack", "slim", "keras", "torchvision"
PUBLISHERS = {
    TENSORPACK: "tensorpack's model zoo",
    SLIM: "TF-slim",
    KERAS: "Keras applications",
    TORCHVISION: "torchvision",
}


@dataclass(frozen=True)
class Preprocessing:
    """What a network gets to see of a pixel: ``(value - mean) / std``, channel by channel.

    Attributes:
        order: ``"rgb"`` or ``"bgr"``, the order of the network's input channels.
        mean, std: in that order, on the scale 0 to 255.
        text: the same for people.
    """

    order: str
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]
    text: str

    def in_order(self, order: str) -> "Preprocessing":
        """The same means and scales for a network whose input channels are in ``order``."""
        if order == self.order:
            return self
        text = f"{order.upper()}{self.text[3:]}"
        return replace(self, order=order, mean=self.mean[::-1], std=self.std[::-1], text=text)


def _scaled(values):
    return tuple(255 * value for value in values)


OURS = Preprocessing(
    "bgr",
    _scaled(IMAGENET_MEAN_RGB[::-1]),
    _scaled(IMAGENET_STD_RGB[::-1]),
    "BGR, ImageNet mean and deviation",
)
_TORCH = OURS.in_order("rgb")
_CAFFE = Preprocessing(
    "bgr", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), "BGR minus the Caffe means"
)
_ZERO_TO_ONE = Preprocessing("rgb", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5), "RGB / 127.5 - 1")

_CODE_APACHE = "not stated (code Apache-2.0)"
_CODE_BSD = "not stated (code BSD-3-Clause)"
_OXFORD = "CC BY 4.0 (VGG, Oxford)"

_VGG = "pool5 and fc6-fc8 are left out; `add` and `linear` start anew"
_RESNET = "stride 2 of the last two groups becomes 1 (`--laststride 2`: of the last but one)"
_RESNET_TORCH = _RESNET + "; stride-2 layers pad both sides, ours bottom and right"
_INCEPTION = (
    "unpadded layers become SAME, Mixed_6a's stride 2 becomes 1; what follows Mixed_6e is left out"
)


@dataclass(frozen=True)
class Published:
    """One published file.

    Attributes:
        mode: backbone that it fits.
        source: who published it, a key of :data:`PUBLISHERS`.
        file_name: as published, or as it lies in the published archive.
        url: where its publisher documents it to be.
        preprocessing: of its own network.
        license: of the weights, as far as it is stated.
        differs: how our network differs from the publisher's.
    """

    mode: str
    source: str
    file_name: str
    url: str
    preprocessing: Preprocessing
    license: str
    differs: str


def _tensorpack(mode, folder, name, preprocessing, license, differs):
    url = f"http://models.tensorpack.com/{folder}/{name}"
    return Published(mode, TENSORPACK, name, url, preprocessing, license, differs)


def _tensorpack_resnet(mode, name):
    return _tensorpack(mode, "ResNet", name, OURS, _CODE_APACHE, _RESNET)


def _keras(mode, folder, preprocessing, license, differs):
    for top in ("", "_notop"):
        name = f"{folder}_weights_tf_dim_ordering_tf_kernels{top}.h5"
        url = f"https://storage.googleapis.com/tensorflow/keras-applications/{folder}/{name}"
        yield Published(mode, KERAS, name, url, preprocessing, license, differs)


def _torchvision(mode, name, differs):
    url = "https://download.pytorch.org/models/" + name
    return Published(mode, TORCHVISION, name, url, _TORCH, _CODE_BSD, differs)


# The published DGL runs start from the first entry of each mode.
ENTRIES = (
    # The authors of the Caffe model ask for BGR and tensorpack's loadcaffe keeps the order; docs/weights.md
    # has the dissenting example.
    _tensorpack("vgg", "Caffe-Converted", "vgg16.npz", _CAFFE, _OXFORD, _VGG),
    _tensorpack("vgg", "ImageNetModels", "VGG16.npz", OURS, _CODE_APACHE, _VGG),
    *_keras("vgg", "vgg16", _CAFFE, _OXFORD, _VGG),
    _torchvision("vgg", "vgg16-397923af.pth", _VGG),
    _tensorpack_resnet("resnet50", "ImageNet-ResNet50.npz"),
    _torchvision("resnet50", "resnet50-0676ba61.pth", _RESNET_TORCH),
    _torchvision("resnet50", "resnet50-11ad3fa6.pth", _RESNET_TORCH),
    _tensorpack_resnet("resnet50se", "ImageNet-ResNet50-SE.npz"),
    _tensorpack_resnet("resnet101", "ImageNet-ResNet101.npz"),
    _torchvision("resnet101", "resnet101-63fe2227.pth", _RESNET_TORCH),
    _torchvision("resnet101", "resnet101-cd907fc2.pth", _RESNET_TORCH),
    _tensorpack_resnet("resnet152", "ImageNet-ResNet152.npz"),
    _torchvision("resnet152", "resnet152-394f9c45.pth", _RESNET_TORCH),
    _torchvision("resnet152", "resnet152-f82ba261.pth", _RESNET_TORCH),
    Published(
        "inceptionv3",
        SLIM,
        "inception_v3.ckpt",
        "http://download.tensorflow.org/models/inception_v3_2016_08_28.tar.gz",
        _ZERO_TO_ONE,
        _CODE_APACHE,
        _INCEPTION,
    ),
    *_keras("inceptionv3", "inception_v3", _ZERO_TO_ONE, "Apache-2.0", _INCEPTION),
)


def entries(mode: str, source: Optional[str] = None) -> Tuple[Published, ...]:
    """The published files for a backbone, of one publisher or of all."""
    return tuple(e for e in ENTRIES if e.mode == mode and source in (None, e.source))


def converted_name(file_name: str) -> str:
    """What a converted file is called that takes the place of a published one."""
    return os.path.splitext(file_name)[0] + ".npz"


def how_to_get(mode: str, file_name: str, folder: str) -> str:
    """One line for people who lack ``file_name``: what to fetch, from where, where to put it."""
    found = entries(mode)
    direct = [e for e in found if e.file_name == file_name]
    others = (
        [e for e in found if e not in direct and e.source != direct[0].source] if direct else []
    )
    if not direct:
        return f"nobody is known to publish {file_name}; put your own in {folder}"
    text = f"fetch {file_name} (ImageNet weights of {PUBLISHERS[direct[0].source]}: {direct[0].url}) and put it in {folder}"
    if others:
        text += f", or convert {others[0].file_name} ({others[0].url}) with `python -m dgl.weights.convert FILE`"
    return text
