"""Photographs of apples, bananas, kangaroos, oranges and raccoons, from three public repositories.

A small data set of real images with the boxes of their objects, made by a fixed rule from clones of
datitran/raccoon_dataset, experiencor/kangaroo and narumiruna/fruit-images-for-object-detection: scaled
images, lists and XML. ``python -m dgl.datasets.photos5`` is ``dgl make-data photos5``.
"""

import os
import re
import zlib
from typing import Callable, Dict, List, NamedTuple, Optional, Pattern, Sequence, Tuple, Union

from PIL import Image
from tqdm import tqdm

from dgl.data.annotations import Annotation, read_annotation, read_labelme
from dgl.data.image_io import read_image
from dgl.data.sample import Box
from dgl.errors import UserError, first_few, quote, run_script
from dgl.utils.files import new_folder

NAME = "photos5"
CLASS_NAMES = ("apple", "banana", "kangaroo", "orange", "raccoon")
SPLITS = ("train", "val")
LONGEST_SIDE = 384
JPEG_QUALITY = 88

_IntBox = Tuple[int, ...]

_XML = """<annotation>
\t<folder>{}</folder>
\t<filename>{}</filename>
\t<size><width>{}</width><height>{}</height><depth>3</depth></size>
{}</annotation>
"""
_OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
\t</object>
"""


class _Repository(NamedTuple):
    """Where a repository keeps its annotations, and which classes its images may have."""

    flag: str
    name: str
    folders: Tuple[str, ...]
    pattern: Pattern[str]  # of an annotation's file name; the last group is the image's number
    images: str  # the folder of images, relative to that of annotations
    labels: Tuple[str, ...]
    read: Callable[[str], Optional[Annotation]]


_REPOSITORIES = (
    _Repository(
        "--kangaroo", "experiencor/kangaroo", ("annots",), re.compile(r"([0-9]{5})\.xml"),
        "../images", ("kangaroo",), read_annotation,
    ),
    _Repository(
        "--raccoon", "datitran/raccoon_dataset", ("annotations",),
        re.compile(r"raccoon-([0-9]{1,5})\.xml"), "../images", ("raccoon",), read_annotation,
    ),
    _Repository(
        "--fruit", "narumiruna/fruit-images-for-object-detection",
        ("data/bbox/train", "data/bbox/test"), re.compile(r"([A-Za-z]+)_([0-9]{1,5})\.json"),
        "", ("apple", "banana", "orange"), read_labelme,
    ),
)  # fmt: skip


class Source(NamedTuple):
    """An image as its repository has it."""

    id: str  # its name in the data set, such as `kangaroo_00090`
    annotation_path: str  # the file with its boxes
    image_path: str  # the image: the file of the same name, whatever the annotation says
    boxes: Tuple[Box, ...]  # `(x0, y0, x1, y1)` floats in pixels, one or more
    size: Optional[Tuple[int, int]]  # `(width, height)` as declared, `None` where it is not


class Dropped(NamedTuple):
    """An image that is left out."""

    path: str  # its annotation
    reason: str  # the same for all that are left out for that reason
    detail: str = ""  # about this image, possibly empty


class Result(NamedTuple):
    """What became of the repositories' images."""

    # Split (`"train"`, `"val"`) -> the numbers of images by class index.
    kept: Dict[str, List[int]]
    dropped: List[Dropped]
    boxes_left_out: int  # boxes of kept images that have no area in them


def split_of(image_id: str) -> str:
    """``"val"`` where the CRC-32 of the id is divisible by 4, else ``"train"``."""
    return "train" if zlib.crc32(image_id.encode("ascii")) % 4 else "val"


def write_data_set(
    raccoon: str, kangaroo: str, fruit: str, out: str, progress: bool = True
) -> Result:
    """Make the data set of three clones and put it at ``out`` in one step, when it is complete.

    Raises:
        UserError: a folder is no clone of its repository, an annotation cannot be read, no image
            is left, or ``out`` holds something or cannot be written.
    """
    with new_folder(out) as folder:
        sources, dropped = find_sources(raccoon, kangaroo, fruit)
        # A class without images has its folder too: loaders count the folders.
        for name in CLASS_NAMES:
            os.makedirs(os.path.join(folder, "train", name))
            os.makedirs(os.path.join(folder, "annotations", "train", name))
        for name in ("val", "annotations/val", "labels/" + NAME):
            os.makedirs(os.path.join(folder, name))
        result = _write_images(folder, sources, dropped, progress)
        _write_text(os.path.join(folder, "classes.txt"), "\n".join((*CLASS_NAMES, "")))
    return result


def find_sources(raccoon: str, kangaroo: str, fruit: str) -> Tuple[List[Source], List[Dropped]]:
    """Read the annotations of all three repositories; no image is opened.

    Where several annotations come to the same id, a fruit's file that is named after its label goes
    first (``orange_20.json`` before a ``mixed_20.json`` with nothing but oranges), then one in
    ``train``, then the shorter name; the others are dropped. Sources are sorted by id.
    """
    dropped: List[Dropped] = []
    found: Dict[str, Source] = {}
    for repository, root in zip(_REPOSITORIES, (kangaroo, raccoon, fruit)):
        for source in _candidates(repository, root, dropped):
            path = source.annotation_path
            if source.id in found:
                detail = f"{source.id} is {short_name(found[source.id].annotation_path)}"
                dropped.append(Dropped(path, "its id belongs to another image", detail))
            elif not os.path.lexists(source.image_path):
                dropped.append(Dropped(path, "no image of that name", source.image_path))
            else:
                found[source.id] = source
    return [found[image_id] for image_id in sorted(found)], dropped


def _candidates(repository: _Repository, root: str, dropped: List[Dropped]) -> List[Source]:
    """A repository's images by annotation, those first that have the better claim to their id."""
    ranked = []
    for folder in repository.folders:
        is_empty = True
        for path in _annotation_paths(repository, root, folder):
            match = repository.pattern.fullmatch(os.path.basename(path))
            if match is None:
                dropped.append(Dropped(path, "not named by the rule"))
                continue
            is_empty = False
            annotation = repository.read(path)
            if annotation is None:
                raise UserError(f"{path}: no such file; expected an annotation")
            names = sorted(set(annotation.names))
            if not names:
                dropped.append(Dropped(path, "without an object"))
            elif len(names) > 1 or names[0] not in repository.labels:
                reason = "labeled as several classes or another one"
                dropped.append(Dropped(path, reason, first_few(map(quote, names))))
            else:
                stem = os.path.splitext(os.path.basename(path))[0]
                images = os.path.normpath(os.path.join(root, folder, repository.images))
                image_path = os.path.join(images, stem + ".jpg")
                image_id = f"{names[0]}_{int(match.groups()[-1]):05d}"
                source = Source(image_id, path, image_path, annotation.boxes, annotation.size)
                ranked.append((match.lastindex == 2 and match.group(1) != names[0], source))
        if is_empty:
            raise UserError(
                f"{repository.flag} {root}: no annotation in {folder}; expected a clone of "
                f"{repository.name}"
            )
    return [source for _, source in sorted(ranked, key=lambda item: item[0])]


def _annotation_paths(repository: _Repository, root: str, folder: str) -> List[str]:
    """Paths of the files with the annotations' extension, the shorter names first."""
    extension = ".json" if repository.read is read_labelme else ".xml"
    try:
        names = os.listdir(os.path.join(root, folder))
    except (OSError, ValueError) as error:
        where = f"{repository.flag} {quote(root, 400)}: {folder}"
        reason = f"cannot be listed ({getattr(error, 'strerror', None) or error})"
        raise UserError(f"{where} {reason}; expected a clone of {repository.name}") from error
    return [
        os.path.join(root, folder, name)
        for name in sorted(names, key=lambda name: (len(name), name))
        if name.endswith(extension) and not name.startswith(".")
    ]


def short_name(path: str) -> str:
    """A file's folder and name for a message: the fruit's two folders may share a name."""
    return quote("/".join(path.split(os.sep)[-2:]))[1:-1]


def _write_images(
    folder: str, sources: Sequence[Source], dropped: Sequence[Dropped], progress: bool
) -> Result:
    """Write images, annotations and lists below ``folder``."""
    lines: Dict[str, List[str]] = {split: [] for split in SPLITS}
    kept = {split: [0] * len(CLASS_NAMES) for split in SPLITS}
    dropped, boxes_left_out = list(dropped), 0
    for source in tqdm(sources, unit="image", desc="scaling photographs", disable=not progress):
        prepared = _prepare(source)
        if isinstance(prepared, Dropped):
            dropped.append(prepared)
            continue
        image, boxes = prepared
        split, name = split_of(source.id), source.id.rpartition("_")[0]
        class_index = CLASS_NAMES.index(name)
        # Training images are in a folder per class, validation images in one.
        path = source.id if split == "val" else f"{name}/{source.id}"
        image.save(os.path.join(folder, split, path + ".jpg"), "JPEG", quality=JPEG_QUALITY)
        objects = "".join(_OBJECT.format(*box, name=name) for box in boxes)
        xml = _XML.format(split, source.id, *image.size, objects)
        _write_text(os.path.join(folder, "annotations", split, path + ".xml"), xml)
        corners = " ".join(map(str, max(boxes, key=lambda box: _area(tuple(box)))))
        lines[split].append(f"{path}.jpg {class_index} {corners}")
        kept[split][class_index] += 1
        boxes_left_out += len(source.boxes) - len(boxes)
    for split in SPLITS:
        if not lines[split]:
            reasons = "; ".join(_reason_lines(dropped)) or "none dropped"
            raise UserError(
                f"--out: no image for {split} is left; expected some in the repositories ({reasons})"
            )
        path = os.path.join(folder, "labels", NAME, split + ".txt")
        _write_text(path, "\n".join((*lines[split], "")))
    return Result(kept, dropped, boxes_left_out)


def _prepare(source: Source) -> Union[Tuple[Image.Image, List[_IntBox]], Dropped]:
    """``(image, boxes)`` of an image, both scaled down, or a :class:`Dropped`."""
    path = source.annotation_path
    try:
        image = Image.fromarray(read_image(source.image_path))
    except UserError as error:
        return Dropped(path, "does not decode completely", str(error))
    size = image.size
    if source.size is not None and source.size != size:
        detail = "{} x {} is annotated as {} x {}".format(*size, *source.size)
        return Dropped(path, "its size disagrees with its annotation", detail)
    new_size = scaled_size(size)
    if new_size != size:
        image = image.resize(new_size, Image.BICUBIC)
    scaled = [scaled_box(box, size, new_size) for box in source.boxes]
    boxes = [box for box in scaled if _area(box) > 0]
    return (image, boxes) if boxes else Dropped(path, "no box lies in the image")


def scaled_size(size: Tuple[int, int]) -> Tuple[int, int]:
    """``(width, height)`` when the longer side is brought down to :data:`LONGEST_SIDE`."""
    longest = max(size)
    if longest <= LONGEST_SIDE:
        return size
    width, height = (max(1, round(side * LONGEST_SIDE / longest)) for side in size)
    return width, height


def scaled_box(box: Sequence[float], size: Tuple[int, int], new_size: Tuple[int, int]) -> _IntBox:
    """A box in the pixels of a scaled image: scaled, rounded (halves to even), clipped.

    The axes have scales of their own, since the shorter side of the image was rounded. The box is in
    ``0 .. side - 1``, possibly without area.
    """
    return tuple(
        min(max(round(value * new / old), 0), new - 1)
        for value, old, new in zip(box, size * 2, new_size * 2)
    )


def _area(box: _IntBox) -> int:
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0)


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii", newline="\n") as stream:
        stream.write(text)


def _reason_lines(dropped: Sequence[Dropped]) -> List[str]:
    """``12 without an object: annots/00001.xml, ...`` for each reason, in alphabetical order."""
    shown: Dict[str, List[str]] = {}
    for item in dropped:
        detail = f" ({item.detail})" if item.detail else ""
        shown.setdefault(item.reason, []).append(short_name(item.path) + detail)
    return [f"{len(own)} {why}: {first_few(own, 3)}" for why, own in sorted(shown.items())]


def report(result: Result) -> str:
    """The numbers of images kept by class and split, and those dropped with the reasons."""
    lines = ["{:10}{:>6}{:>6}".format("", *SPLITS)]
    for class_index, name in enumerate(CLASS_NAMES):
        lines.append("{:10}{:>6}{:>6}".format(name, *(result.kept[s][class_index] for s in SPLITS)))
    lines.append("{:10}{:>6}{:>6}".format("total", *(sum(result.kept[split]) for split in SPLITS)))
    lines.append(f"{len(result.dropped)} dropped")
    lines.extend("  " + line for line in _reason_lines(result.dropped))
    if result.boxes_left_out:
        lines.append(f"{result.boxes_left_out} boxes without area left out")
    return "\n".join(lines)


if __name__ == "__main__":
    from dgl.cli.make_data import photos5_script

    run_script(photos5_script)
