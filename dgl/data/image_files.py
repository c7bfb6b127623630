"""List image files: the extensions that count, and what a folder holds beside them."""

import collections
import functools
import importlib.util
import os
import re
from typing import Dict, List, Optional

from dgl.errors import UserError, first_few, quote

# Three kinds: what every Pillow reads, and what takes a newer one (AVIF) or a package (HEIC).
_JPEGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo")
TGA_EXTENSIONS = (".tga", ".icb", ".vda", ".vst")
_AVIFS = (".avif", ".avifs")
_HEICS = (".heic", ".heif", ".hif")
IMAGE_EXTENSIONS = (
    *_JPEGS,
    *(".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".ico"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    *TGA_EXTENSIONS,
    *_AVIFS,
    *_HEICS,
)
# What lies beside images and is none, so that nobody misses it.
_OTHER_EXTENSIONS = frozenset(
    ".cfg .csv .db .gz .htm .html .ini .json .jsonl .log .mat .md .npy .npz .pickle .pkl .pt .pth .py "
    ".sh .tar .toml .tsv .txt .xml .yaml .yml .zip".split()
)

_ADDRESS = re.compile(r"data:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@functools.lru_cache(maxsize=None)
def can_read_avif() -> bool:
    """Whether Pillow reads AVIF, as it does from 11.3 on."""
    from PIL import features

    return "avif" in features.modules and bool(features.check("avif"))


@functools.lru_cache(maxsize=None)
def can_read_heic() -> bool:
    """Whether the package pillow-heif, the extra ``heic``, is installed; from then on Pillow uses it."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def no_such_file(path: str, reason: str) -> UserError:
    """What to raise for a path where nothing is; an address says how to download it."""
    if not _ADDRESS.match(path):
        return UserError(f"{path or quote(path)}: {reason}")
    return UserError(
        f"{quote(path)}: an address; expected the path of a file, so download it first: "
        "curl -LO ADDRESS, or urllib.request.urlretrieve(ADDRESS, PATH)"
    )


def scan_folder(folder: str) -> List["os.DirEntry[str]"]:
    """The entries of a folder, in no order; :class:`UserError` where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from error


def is_image_entry(entry: "os.DirEntry[str]") -> bool:
    """Whether an :class:`os.DirEntry` is an image, by its extension; hidden files are not.

    A broken link counts, so that reading it reports the missing image. AVIF and HEIC count where they can
    be read.
    """
    name = entry.name.lower()
    if not name.endswith(IMAGE_EXTENSIONS) or name.startswith("."):
        return False
    if (name.endswith(_AVIFS) and not can_read_avif()) or (
        name.endswith(_HEICS) and not can_read_heic()
    ):
        return False
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:  # a link to itself
        return True


class LeftOut(List[str]):
    """Paths of files that may be images but are of no format that can be read."""

    def add(self, entry: "os.DirEntry[str]") -> None:
        """Note an :class:`os.DirEntry` that is no image; lists, archives and the like do not count."""
        extension = os.path.splitext(entry.name)[1].lower()
        if not (entry.name.startswith(".") or extension in _OTHER_EXTENSIONS or entry.is_dir()):
            self.append(entry.path)

    def __str__(self) -> str:
        """Such as ``3 files left out, of no format read here: 2 .heic (pip install ...), 1 .svg``."""
        extensions = collections.Counter(os.path.splitext(path)[1].lower() for path in self)
        kinds = (
            f"{number} {extension or 'without extension'}{_remedy(extension)}"
            for extension, number in extensions.most_common()
        )
        files = "1 file" if len(self) == 1 else f"{len(self)} files"
        return f"{files} left out, of no format read here: {first_few(kinds)}; the first: {self[0]}"


def _remedy(extension: str) -> str:
    if extension in _HEICS:
        return ' (pip install "dgl-localization[heic]" reads it)'
    return " (Pillow 11.3 reads it)" if extension in _AVIFS else ""


def is_folder_entry(entry: "os.DirEntry[str]") -> bool:
    """Whether an :class:`os.DirEntry` is a folder that is not hidden; links are followed."""
    try:
        return not entry.name.startswith(".") and entry.is_dir()
    except OSError:  # a link to itself
        return False


def image_names(folder: str, left_out: Optional[LeftOut] = None) -> List[str]:
    """Sorted names of the images in a folder, possibly none; ``left_out`` counts its other files."""
    names = []
    for entry in scan_folder(folder):
        if is_image_entry(entry):
            names.append(entry.name)
        elif left_out is not None:
            left_out.add(entry)
    return sorted(names)


def images_by_stem(folder: str) -> Dict[str, List[str]]:
    """Sorted names of a folder's images by their stem; empty where there is no such folder."""
    found: Dict[str, List[str]] = {}
    for name in image_names(folder) if os.path.isdir(folder) else ():
        found.setdefault(os.path.splitext(name)[0], []).append(name)
    return found


def list_images(path: str, left_out: Optional[LeftOut] = None) -> List[str]:
    """The image, or the sorted images of the folder, that a command-line argument stands for.

    Args:
        path: an image file (whatever its extension) or a folder (not searched recursively).
        left_out: counts a folder's files of formats that cannot be read.

    Raises:
        UserError: nothing is there, or the folder holds no image.
    """
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise no_such_file(path, "no such file or folder; expected images")
        return [path]
    others = LeftOut() if left_out is None else left_out
    names = image_names(path, others)
    if not names:
        found = f" ({others})" if others else ""
        if any(map(is_folder_entry, scan_folder(path))):
            found += ", whose subfolders are not searched"
        expected = f"expected files ending in {' '.join(IMAGE_EXTENSIONS)}"
        raise UserError(f"{path}: no images in this folder{found}; {expected}")
    return [os.path.join(path, name) for name in names]
