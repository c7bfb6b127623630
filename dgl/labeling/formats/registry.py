"""The registry of export formats, and what every one of them is given."""

import hashlib
import json
import os
import shutil
from typing import IO, Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from dgl.errors import UserError
from dgl.labeling.decisions import REJECTED, corrected
from dgl.labeling.labels import ImageLabels
from dgl.labeling.store import Header, read_header
from dgl.utils.files import replaced_folder

# Each image has this many numbers for its objects in COCO's file, so that they never move.
IDS_PER_IMAGE = 10000


class ExportOptions(NamedTuple):
    """Choices of an export."""

    val_fraction: float = 0.1  # the part, in [0, 1], of the images in the list `val`
    copy: bool = False  # whether images are copied rather than linked, where a format has images
    min_confidence: float = 0.0  # objects below it are left out, unless a person confirmed them


class Export(NamedTuple):
    """What a format writes."""

    folder: str  # an empty folder to fill
    header: Header
    options: ExportOptions
    source: str  # the output folder of `dgl label`

    def images(self) -> Iterator[Tuple[int, ImageLabels]]:
        """The images to write with their places in the store, from 1; may be called for a second pass."""
        for number, labels in enumerate(corrected(self.source), 1):
            if labels.error is not None or labels.status == REJECTED:
                continue
            if labels.status is None and self.options.min_confidence:
                low = self.options.min_confidence
                kept = tuple(
                    o for o in labels.objects if o.confidence is None or o.confidence >= low
                )
                labels = labels._replace(objects=kept)
            # Without an object, and without a person's word that there is none, an image is no background.
            if labels.objects or labels.status is not None:
                yield number, labels

    @property
    def has_masks(self) -> bool:
        """Whether objects have polygons."""
        return bool(self.header.options.get("masks"))

    def is_val(self, labels: ImageLabels) -> bool:
        """Whether an image belongs to the list ``val``: by a hash of its path, so it never moves."""
        name = labels.image.encode("utf-8", "surrogateescape")
        hashed = int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
        return hashed < self.options.val_fraction * 2**64

    def free_name(self, name: str, folder: str, extension: str) -> Tuple[str, str]:
        """A name for an image, and the path of the file of the same stem in another folder.

        Where another image has that file already, the name gets its extension twice.
        """
        while True:
            stem, end = os.path.splitext(name)
            path = os.path.join(self.folder, folder, *(stem + extension).split("/"))
            if not os.path.exists(path):
                return name, path
            name += end

    def place_image(self, labels: ImageLabels, below: str) -> None:
        """Link or copy an image to a path below the folder."""
        source = os.path.join(self.header.data["path"], *labels.image.split("/"))
        target = os.path.join(self.folder, *below.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not self.options.copy:
            os.symlink(source, target)
            return
        try:
            shutil.copyfile(source, target)
        except FileNotFoundError:
            raise UserError(f"{source}: no such file; expected the labeled image") from None


_Writer = Callable[[Export], None]
_FORMATS: Dict[str, _Writer] = {}


def register_format(name: str) -> Callable[[_Writer], _Writer]:
    """Decorator for the writer of a format; ``name`` is its ``--format`` and its folder."""

    def register(write: _Writer) -> _Writer:
        if name in _FORMATS:
            raise ValueError(f"format {name!r} is registered already")
        _FORMATS[name] = write
        return write

    return register


def format_names() -> List[str]:
    """The registered names, in alphabetical order."""
    return sorted(_FORMATS)


def export(source: str, name: str, options: Optional[ExportOptions] = None) -> str:
    """Write the labels of a store, corrected by a person's decisions, in a format.

    Args:
        source: the output folder of `dgl label`.
        name: one of :func:`format_names`.
        options: the defaults where ``None``.

    Returns:
        The folder that was written, ``source/name``; an older one is replaced in one step.

    Raises:
        UserError: there is no store, it is damaged, or a file cannot be written.
    """
    header = read_header(source)
    target = os.path.join(source, name)
    with replaced_folder(target) as folder:
        _FORMATS[name](Export(folder, header, options or ExportOptions(), source))
    return target


def write_array(stream: IO[str], items: Iterable[Any]) -> None:
    """Write items as a JSON array, one a line, without holding them all."""
    separator = "[\n"
    for item in items:
        stream.write(separator + json.dumps(item, separators=(",", ":")))
        separator = ",\n"
    stream.write("[]" if separator == "[\n" else "\n]")


def open_text(*path: str) -> IO[str]:
    """A text file to write below an export's folder; missing folders are made."""
    name = os.path.join(*path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    return open(name, "w", encoding="utf-8", errors="surrogateescape", newline="\n")
