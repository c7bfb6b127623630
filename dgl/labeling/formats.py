"""The formats that labels are exported to: COCO, YOLO, PASCAL VOC, Label Studio and CSV."""

import csv
import hashlib
import json
import os
import re
import shutil
from typing import IO, Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import yaml

from dgl.errors import UserError
from dgl.labeling.decisions import REJECTED, corrected
from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.store import Header, read_header
from dgl.utils.files import new_folder

# Each image has this many numbers for its objects in COCO's file, so that they never move.
_IDS_PER_IMAGE = 10000
# XML has no way to write these.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_COLUMNS = (
    "image", "width", "height", "status", "class_index", "class", "x0", "y0", "x1", "y1", "score_mean",
    "score_max", "probability", "confidence",
)  # fmt: skip


class ExportOptions(NamedTuple):
    """Choices of an export."""

    val_fraction: float = 0.1  # the part, in [0, 1], of the images in the list `val`
    copy: bool = False  # whether images are copied rather than linked, where a format has images
    min_confidence: float = 0.0  # objects below it are left out, unless a person confirmed them


def export(source: str, name: str, options: Optional[ExportOptions] = None) -> str:
    """Write the labels of a store, corrected by a person's decisions, in a format.

    Args:
        source: the output folder of `dgl label`.
        name: one of :data:`FORMATS`.
        options: the defaults where ``None``.

    Returns:
        The folder that was written, ``source/name``; an older one is replaced in one step.

    Raises:
        UserError: there is no store, it is damaged, or a file cannot be written.
    """
    header = read_header(source)
    target = os.path.join(source, name)
    with new_folder(target, replace=True) as folder:
        FORMATS[name](_Export(folder, header, options or ExportOptions(), source))
    return target


class _Export(NamedTuple):
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
                kept = (o for o in labels.objects if o.confidence is None or o.confidence >= low)
                labels = labels._replace(objects=tuple(kept))
            # Without an object, and without a person's word that there is none, an image is no background.
            if labels.objects or labels.status is not None:
                yield number, labels

    @property
    def has_masks(self) -> bool:
        """Whether objects have polygons."""
        return bool(self.header.options.get("masks"))

    def open_text(self, *path: str) -> IO[str]:
        """A text file to write below the folder; missing folders are made."""
        name = os.path.join(self.folder, *path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        return open(name, "w", encoding="utf-8", errors="surrogateescape", newline="\n")

    def files(
        self, texts: str, images: str, lists: str, line: str, rename: Callable[[str], str] = str
    ) -> Iterator[Tuple[ImageLabels, str, IO[str]]]:
        """Each image with its name and its own text file; images and lists are written on the way.

        Where another image has that text file already, as ``a.jpg`` and ``a.png`` would, the name gets
        its extension twice. An image is in ``val.txt`` by a hash of its path, so it never moves.

        Args:
            texts: a pattern of the text files' paths, of an image's name without extension.
            images, lists: the folders of the images, and of ``train.txt`` and ``val.txt``.
            line: a pattern of the lists' lines, of ``name`` and ``stem``.
            rename: the name of an image by its path below the labeled folder.
        """
        with self.open_text(lists, "train.txt") as train, self.open_text(lists, "val.txt") as val:
            for _, labels in self.images():
                name = rename(labels.image)
                stem, end = os.path.splitext(name)
                while os.path.exists(os.path.join(self.folder, texts.format(stem))):
                    stem, name = name, name + end
                with self.open_text(texts.format(stem)) as stream:
                    yield labels, name, stream
                self.place_image(labels, f"{images}/{name}")
                path = labels.image.encode("utf-8", "surrogateescape")
                hashed = int.from_bytes(hashlib.sha256(path).digest()[:8], "big")
                is_val = hashed < self.options.val_fraction * 2**64
                (val if is_val else train).write(line.format(name=name, stem=stem) + "\n")

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


def _write_array(stream: IO[str], items: Iterable[Any]) -> None:
    """Write items as a JSON array, one a line, without holding them all."""
    separator = "[\n"
    for item in items:
        stream.write(separator + json.dumps(item, separators=(",", ":")))
        separator = ",\n"
    stream.write("[]" if separator == "[\n" else "\n]")


# COCO: https://cocodataset.org/#format-data


def _write_coco(export: _Export) -> None:
    """``annotations.json``, in two passes over the store, and ``images/``.

    Boxes are ``[x, y, width, height]``. ``file_name`` is the path below ``images/``, and below the
    labeled folder. ``score`` is the confidence, or the map's mean where there is none. Categories count
    from 1, as in COCO.
    """
    header = export.header
    info = {
        "description": f"{header.data['name']}, {header.data['split']}",
        "version": header.version,
        "contributor": "dgl label",
    }
    categories = [
        {"id": index, "name": name, "supercategory": ""}
        for index, name in enumerate(header.classes, 1)
    ]
    with export.open_text("annotations.json") as stream:
        stream.write(f'{{"info":{json.dumps(info)},\n"licenses":[],\n"categories":')
        _write_array(stream, categories)
        stream.write(',\n"images":')
        _write_array(stream, _coco_images(export))
        stream.write(',\n"annotations":')
        _write_array(stream, _coco_annotations(export))
        stream.write("}\n")


def _coco_images(export: _Export) -> Iterator[Dict[str, Any]]:
    for number, labels in export.images():
        export.place_image(labels, "images/" + labels.image)
        size = {"width": labels.width, "height": labels.height}
        yield {"id": number, "file_name": labels.image, **size}


def _coco_annotations(export: _Export) -> Iterator[Dict[str, Any]]:
    for number, labels in export.images():
        for place, found in enumerate(labels.objects, 1):
            x0, y0, x1, y1 = found.box
            score = found.score_mean if found.confidence is None else found.confidence
            yield {
                "id": number * _IDS_PER_IMAGE + place,
                "image_id": number,
                "category_id": found.class_index + 1,
                "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
                "area": round(_area(found), 2),
                "iscrowd": 0,
                "segmentation": list(map(list, found.polygons or ())),
                **({} if score is None else {"score": score}),
            }


def _area(found: LabeledObject) -> float:
    """The area in square pixels of the polygons (the shoelace formula), or of the box without any."""
    total = 0.0
    for polygon in found.polygons or ():
        xs, ys = polygon[::2], polygon[1::2]
        following = zip(xs[1:] + xs[:1], ys[1:] + ys[:1])
        total += abs(sum(x * v - u * y for x, y, (u, v) in zip(xs, ys, following))) / 2
    return total or found.area


# YOLO: https://docs.ultralytics.com/datasets/detect/


def _write_yolo(export: _Export) -> None:
    """The folder that a YOLO trainer takes; paths are relative to ``data.yaml``.

    A line of a label file is ``class x y width height``, the center and size as fractions of the image,
    or with masks ``class x y x y ...``, one outline.
    """
    with export.open_text("data.yaml") as stream:
        classes = export.header.classes
        values = {"nc": len(classes), "names": dict(enumerate(classes))}
        stream.write("train: train.txt\nval: val.txt\n" + yaml.safe_dump(values, sort_keys=False))

    files = export.files("labels/{}.txt", "images", "", "./images/{name}", _without_images)
    for labels, _, stream in files:
        for found in labels.objects:
            numbers = _yolo_numbers(found, labels, export.has_masks)
            stream.write(f"{found.class_index} {numbers}\n")


def _without_images(name: str) -> str:
    """A path without folders of the name ``images``: readers take the last one for that of all images."""
    *folders, last = name.split("/")
    return "/".join([folder for folder in folders if folder != "images"] + [last])


def _yolo_numbers(found: LabeledObject, labels: ImageLabels, has_masks: bool) -> str:
    x0, y0, x1, y1 = found.box
    if has_masks:
        # Readers take a file with outlines and boxes for outlines only, so a box is one of four points.
        corners = (x0, y0, x1, y0, x1, y1, x0, y1)
        values = max(found.polygons, key=len) if found.polygons else corners
    else:
        values = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
    sides = (labels.width, labels.height)
    fractions = (value / sides[place % 2] for place, value in enumerate(values))
    return " ".join(f"{min(max(value, 0.0), 1.0):.7f}" for value in fractions)


# PASCAL VOC: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/


def _write_voc(export: _Export) -> None:
    """``Annotations/<image>.xml``, ``JPEGImages/`` and ``ImageSets/Main/{train,val}.txt``.

    Corners are whole pixels, counted from 1, and the last one belongs to the box.
    """
    # Not of VOC, but the indices of classes are those of the labels only with it.
    with export.open_text("classes.txt") as stream:
        stream.writelines(_printable(name) + "\n" for name in export.header.classes)
    files = export.files("Annotations/{}.xml", "JPEGImages", "ImageSets/Main", "{stem}")
    for labels, name, stream in files:
        stream.write(
            "<annotation>\n"
            f"  <folder>JPEGImages</folder>\n  <filename>{escape(_printable(name))}</filename>\n"
            "  <source><database>dgl label</database></source>\n"
            f"  <size><width>{labels.width}</width><height>{labels.height}</height>"
            "<depth>3</depth></size>\n"
            "  <segmented>0</segmented>\n"
        )
        for found in labels.objects:
            stream.write(_voc_object(found, labels))
        stream.write("</annotation>\n")


def _voc_object(found: LabeledObject, labels: ImageLabels) -> str:
    x0, y0, x1, y1 = found.box
    xmin, xmax = _voc_pixels(x0, x1, labels.width)
    ymin, ymax = _voc_pixels(y0, y1, labels.height)
    box = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
    confidence = "" if found.confidence is None else f"<confidence>{found.confidence}</confidence>"
    return (
        f"  <object><name>{escape(_printable(found.class_name))}</name><pose>Unspecified</pose>"
        f"<truncated>0</truncated><difficult>0</difficult>{confidence}\n"
        f"    <bndbox>{box}</bndbox>\n"
        "  </object>\n"
    )


def _voc_pixels(start: float, end: float, size: int) -> Tuple[int, int]:
    """The first and the last column or row of a box, counted from 1."""
    first, last = round(start) + 1, round(end)
    if last < first:  # narrower than a pixel: the one that it begins in
        first = last = min(int(start) + 1, size)
    return first, last


def _printable(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)


# Label Studio: https://labelstud.io/guide/predictions


def _write_labelstudio(export: _Export) -> None:
    """``tasks.json`` to import into Label Studio, and ``config.xml`` of the project.

    Each task has one prediction with rectangles, or with polygons, in percent of the image. Images are
    served by Label Studio from its own disk: ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`` has to be the
    folder that holds the data folder.
    """
    names = "".join(f"    <Label value={quoteattr(n)}/>\n" for n in export.header.classes)
    with export.open_text("config.xml") as stream:
        stream.write('<View>\n  <Image name="image" value="$image"/>\n')
        for kind in ["Rectangle"] + ["Polygon"] * export.has_masks:
            tag = f'{kind}Labels name="{kind.lower()}" toName="image"'
            stream.write(f"  <{tag}>\n{names}  </{kind}Labels>\n")
        stream.write("</View>\n")
    with export.open_text("tasks.json") as stream:
        _write_array(stream, _studio_tasks(export))
        stream.write("\n")


def _studio_tasks(export: _Export) -> Iterator[Dict[str, Any]]:
    folder = os.path.basename(export.header.data["path"])
    model = f"dgl {export.header.version} {export.header.network['mode']}"
    for number, labels in export.images():
        path = quote(f"{folder}/{labels.image}".encode("utf-8", "surrogateescape"))
        scores = [o.confidence for o in labels.objects if o.confidence is not None]
        regions = [
            _studio_region(found, labels, f"{number}-{place}")
            for place, found in enumerate(labels.objects, 1)
        ]
        prediction: Dict[str, Any] = {"model_version": model, "result": regions}
        if scores:
            prediction["score"] = min(scores)
        data = {"image": "/data/local-files/?d=" + path, "path": labels.image}
        yield {"data": data, "predictions": [prediction]}


def _studio_region(found: LabeledObject, labels: ImageLabels, identity: str) -> Dict[str, Any]:
    across, down = 100.0 / labels.width, 100.0 / labels.height

    def percent(x: float, y: float) -> List[float]:
        return [round(x * across, 4), round(y * down, 4)]

    if found.polygons:
        outline = max(found.polygons, key=len)
        kind = "polygon"
        points = [percent(x, y) for x, y in zip(outline[::2], outline[1::2])]
        value: Dict[str, Any] = {"points": points, "closed": True}
    else:
        x0, y0, x1, y1 = found.box
        kind = "rectangle"
        numbers = percent(x0, y0) + percent(x1 - x0, y1 - y0)
        value = {**dict(zip(("x", "y", "width", "height"), numbers)), "rotation": 0}
    value[kind + "labels"] = [found.class_name]
    return {
        "id": identity,
        "from_name": kind,
        "to_name": "image",
        "type": kind + "labels",
        "original_width": labels.width,
        "original_height": labels.height,
        "image_rotation": 0,
        "value": value,
        **({} if found.confidence is None else {"score": found.confidence}),
    }


def _write_csv(export: _Export) -> None:
    """``objects.csv``, one line per object; one without an object where a person found none."""
    with export.open_text("objects.csv") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for _, labels in export.images():
            image = [labels.image, labels.width, labels.height, labels.status]
            for found in labels.objects:
                scores = [found.score_mean, found.score_max, found.probability, found.confidence]
                writer.writerow(image + [found.class_index, found.class_name, *found.box, *scores])
            if not labels.objects:
                writer.writerow(image + [None] * (len(_COLUMNS) - len(image)))


# By the names of `--format`, which are those of the folders.
FORMATS: Dict[str, Callable[[_Export], None]] = {
    "coco": _write_coco,
    "csv": _write_csv,
    "labelstudio": _write_labelstudio,
    "voc": _write_voc,
    "yolo": _write_yolo,
}
