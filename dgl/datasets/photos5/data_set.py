"""Making the photographs: images scaled down, lists and XML beside them, the command line."""

import argparse
import io
import os
from typing import Dict, List, NamedTuple, Optional, Tuple

from PIL import Image
from tqdm import tqdm

from dgl.data.image_io import read_image
from dgl.datasets.photos5.sources import (
    CLASS_NAMES,
    Dropped,
    annotation_xml,
    class_index_of,
    find_sources,
    list_line,
    relative_path,
    scaled_box,
    scaled_size,
    short_name,
    split_of,
)
from dgl.errors import UserError, first_few
from dgl.utils.files import holds_something, new_folder, not_empty

NAME = "photos5"
SPLITS = ("train", "val")
JPEG_QUALITY = 88

DAMAGED = "does not decode completely"
OTHER_SIZE = "its size disagrees with its annotation"
NO_BOX = "no box lies in the image"


class Result(NamedTuple):
    """What became of the repositories' images.

    Attributes:
        kept: dict of split (``"train"``, ``"val"``) to a list of images by class index.
        dropped: list of :class:`dgl.datasets.photos5.sources.Dropped`.
        boxes_left_out: int, boxes of kept images that have no area in them.
    """

    kept: Dict[str, List[int]]
    dropped: List[Dropped]
    boxes_left_out: int


def write_data_set(
    raccoon: str, kangaroo: str, fruit: str, out: str, progress: bool = True
) -> Result:
    """Make the data set and put it at ``out`` in one step, when it is complete.

    Args:
        raccoon, kangaroo, fruit: folders of the clones; only read.
        out: folder to make; it may exist if it is empty.
        progress: show a progress bar.

    Returns:
        :class:`Result`.

    Raises:
        UserError: a folder is no clone of its repository, an annotation cannot be read, no image
            is left, or ``out`` holds something or cannot be written.
    """
    if holds_something(out):
        raise not_empty(out)
    sources, dropped = find_sources(raccoon, kangaroo, fruit)
    with new_folder(out) as folder:
        _make_folders(folder)
        result = _write_images(folder, sources, dropped, progress)
        _write(os.path.join(folder, "classes.txt"), "".join(c + "\n" for c in CLASS_NAMES))
    return result


def _make_folders(folder):
    # A class without images has its folder too: loaders count the folders.
    for parts in (("train",), ("annotations", "train")):
        for name in CLASS_NAMES:
            os.makedirs(os.path.join(folder, *parts + (name,)))
    for parts in (("val",), ("annotations", "val"), ("labels", NAME)):
        os.makedirs(os.path.join(folder, *parts))


def _write_images(folder, sources, dropped, progress):
    """Write images, annotations and lists below ``folder``."""
    lines = {split: [] for split in SPLITS}
    kept = {split: [0] * len(CLASS_NAMES) for split in SPLITS}
    dropped = list(dropped)
    boxes_left_out = 0
    for source in tqdm(sources, unit="picture", desc="scaling photographs", disable=not progress):
        prepared = _prepare(source)
        if isinstance(prepared, Dropped):
            dropped.append(prepared)
            continue
        image, boxes = prepared
        split = split_of(source.id)
        path = relative_path(source.id)
        _write(os.path.join(folder, split, path + ".jpg"), _jpeg(image))
        text = annotation_xml(source.id, image.size, boxes)
        _write(os.path.join(folder, "annotations", split, path + ".xml"), text)
        lines[split].append(list_line(source.id, boxes))
        kept[split][class_index_of(source.id)] += 1
        boxes_left_out += len(source.boxes) - len(boxes)
    for split in SPLITS:
        if not lines[split]:
            raise UserError(
                "--out: no image for {} is left; expected some in the repositories ({})".format(
                    split, "; ".join(_reason_lines(dropped)) or "none dropped"
                )
            )
        text = "".join(line + "\n" for line in lines[split])
        _write(os.path.join(folder, "labels", NAME, split + ".txt"), text)
    return Result(kept, dropped, boxes_left_out)


def _prepare(source):
    """``(image, boxes)`` of an image, both scaled down, or a :class:`Dropped`."""
    try:
        pixels = read_image(source.image_path)
    except UserError as error:
        return Dropped(source.annotation_path, DAMAGED, str(error))
    size = (pixels.shape[1], pixels.shape[0])
    if source.size is not None and source.size != size:
        detail = "{} x {} is annotated as {} x {}".format(*size + source.size)
        return Dropped(source.annotation_path, OTHER_SIZE, detail)
    image = Image.fromarray(pixels)
    new_size = scaled_size(size)
    if new_size != size:
        image = image.resize(new_size, Image.BICUBIC)
    scaled = (scaled_box(box, size, new_size) for box in source.boxes)
    boxes = [box for box in scaled if box is not None]
    if not boxes:
        return Dropped(source.annotation_path, NO_BOX)
    return image, boxes


def _jpeg(image):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def _write(path, data):
    with open(path, "wb") as stream:
        stream.write(data if isinstance(data, bytes) else data.encode("ascii"))


def _reason_lines(dropped):
    """``12 without an object: annots/00001.xml, ...`` for each reason, in alphabetical order."""
    for reason in sorted({item.reason for item in dropped}):
        items = [item for item in dropped if item.reason == reason]
        named = first_few((_shown(item) for item in items), 3)
        yield f"{len(items)} {reason}: {named}"


def _shown(item):
    name = short_name(item.path)
    return f"{name} ({item.detail})" if item.detail else name


def report(result: Result) -> str:
    """The text that tells what was kept by class and split, and what was dropped and why.

    Args:
        result: :class:`Result`.

    Returns:
        str of several lines.
    """
    rows: List[Tuple[str, ...]] = [("",) + SPLITS]
    for class_index, name in enumerate(CLASS_NAMES):
        rows.append((name,) + tuple(str(result.kept[split][class_index]) for split in SPLITS))
    rows.append(("total",) + tuple(str(sum(result.kept[split])) for split in SPLITS))
    lines = ["{:10}{:>6}{:>6}".format(*row) for row in rows]
    lines.append(f"{len(result.dropped)} dropped")
    lines.extend("  " + line for line in _reason_lines(result.dropped))
    if result.boxes_left_out:
        lines.append(f"{result.boxes_left_out} boxes without area left out")
    return "\n".join(lines)


def main(argv: Optional[List[str]] = None) -> int:
    """Parse flags, make the data set and print the report; returns the exit code."""
    from dgl.cli import make_data

    parser = argparse.ArgumentParser(
        prog="python -m dgl.datasets.photos5",
        description="Make the data set of photographs from clones of three GitHub repositories.",
    )
    make_data.add_photos5_flags(parser)
    return make_data.run_photos5(parser.parse_args(argv))
