"""Published ImageNet weights: which files there are, who published a checkpoint, how to get one.

The facts are in the backbones' files (:mod:`dgl.backbones.published`); messages, ``dgl convert`` and
``docs/weights.md`` take them from here. Their sources: tensorpack's ``examples`` (``ResNet/README.md``,
``CaffeModels/load-vgg16.py``, ``ImageNetModels/imagenet_utils.py``), TF-slim's README and
``inception_preprocessing.py``, the ``WEIGHTS_PATH`` and ``preprocess_input`` of Keras's applications,
torchvision's ``vgg.py`` and ``resnet.py``.
"""

import os
from typing import Dict, List, NamedTuple, Optional, Tuple

from dgl.backbones import BACKBONES
from dgl.backbones.published import EXACT, PUBLISHERS, PublishedFile, Shapes


class Recognized(NamedTuple):
    """Who published a checkpoint.

    Attributes:
        publisher: a key of :data:`~dgl.backbones.published.PUBLISHERS`.
        modes: the backbones that its names fit, at least one; several for a file whose depth is unclear.
    """

    publisher: str
    modes: Tuple[str, ...]


def recognize(shapes: Shapes) -> Optional[Recognized]:
    """Recognize published weights by their names.

    Args:
        shapes: ordered variable name -> shape of a checkpoint.
    """
    exact: Dict[str, List[str]] = {}
    near: Dict[str, List[str]] = {}
    for backbone in BACKBONES.values():
        for names in backbone.published_names:
            fit = names.fits(shapes)
            if fit is not None:
                found = exact if fit == EXACT else near
                found.setdefault(names.publisher, []).append(backbone.mode)
    for publisher in PUBLISHERS:
        modes = exact.get(publisher) or near.get(publisher)
        if modes:
            return Recognized(publisher, tuple(modes))
    return None


def published_files(mode: str, publisher: Optional[str] = None) -> Tuple[PublishedFile, ...]:
    """The published files for a backbone, of one publisher or of all."""
    files = BACKBONES[mode].published_files if mode in BACKBONES else ()
    return tuple(file for file in files if publisher in (None, file.publisher))


def converted_name(file_name: str) -> str:
    """The name of the converted file that takes the place of a published one."""
    return os.path.splitext(file_name)[0] + ".npz"


def how_to_get(mode: str, file_name: str, folder: str) -> str:
    """One line on how to get ``file_name``: what to fetch, from where, and where to put it."""
    files = published_files(mode)
    direct = next((file for file in files if file.file_name == file_name), None)
    if direct is None:
        return f"nobody is known to publish {file_name}; put your own in {folder}"
    text = (
        f"fetch {file_name} (ImageNet weights of {PUBLISHERS[direct.publisher]}: {direct.url}) and put "
        f"it in {folder}"
    )
    other = next((file for file in files if file.publisher != direct.publisher), None)
    if other is not None:
        text += f", or convert {other.file_name} ({other.url}) with `dgl convert FILE`"
    return text
