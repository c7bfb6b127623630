"""Labels as PASCAL VOC (``voc``): a file of XML for each image, the images, and lists of names.

``Annotations/<image>.xml``, ``JPEGImages/`` and ``ImageSets/Main/{train,val}.txt``.
``classes.txt`` has the classes in the order of their indices, as annotation tools write and read it.
Corners are whole pixels, counted from 1, and the last one belongs to the box. http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/
"""

import os
import re
from typing import Tuple
from xml.sax.saxutils import escape

from dgl.labeling.formats.registry import Export, open_text, register_format
from dgl.labeling.labels import ImageLabels, LabeledObject

# XML has no way to write these.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@register_format("voc")
def write_voc(export: Export) -> None:
    """Write a folder in the layout of PASCAL VOC."""
    # Not of VOC, but the indices of classes are those of the labels only with it.
    with open_text(export.folder, "classes.txt") as stream:
        stream.writelines(_printable(name) + "\n" for name in export.header.classes)
    lists = os.path.join(export.folder, "ImageSets", "Main")
    with open_text(lists, "train.txt") as train, open_text(lists, "val.txt") as val:
        for _, labels in export.images():
            name, path = export.free_name(labels.image, "Annotations", ".xml")
            stem = os.path.splitext(name)[0]
            with open_text(path) as stream:
                stream.write(_xml(labels, name))
            export.place_image(labels, "JPEGImages/" + name)
            (val if export.is_val(labels) else train).write(stem + "\n")


def _xml(labels: ImageLabels, name: str) -> str:
    objects = "".join(_object(found, labels) for found in labels.objects)
    return (
        "<annotation>\n"
        f"  <folder>JPEGImages</folder>\n  <filename>{escape(_printable(name))}</filename>\n"
        "  <source><database>dgl label</database></source>\n"
        f"  <size><width>{labels.width}</width><height>{labels.height}</height><depth>3</depth></size>\n"
        "  <segmented>0</segmented>\n"
        f"{objects}</annotation>\n"
    )


def _object(found: LabeledObject, labels: ImageLabels) -> str:
    x0, y0, x1, y1 = found.box
    xmin, xmax = _pixels(x0, x1, labels.width)
    ymin, ymax = _pixels(y0, y1, labels.height)
    box = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
    confidence = "" if found.confidence is None else f"<confidence>{found.confidence}</confidence>"
    return (
        f"  <object><name>{escape(_printable(found.class_name))}</name><pose>Unspecified</pose>"
        f"<truncated>0</truncated><difficult>0</difficult>{confidence}\n"
        f"    <bndbox>{box}</bndbox>\n"
        "  </object>\n"
    )


def _pixels(start: float, end: float, size: int) -> Tuple[int, int]:
    """The first and the last column or row of a box, counted from 1."""
    first, last = round(start) + 1, round(end)
    if last < first:  # narrower than a pixel: the one that it begins in
        first = last = min(int(start) + 1, size)
    return first, last


def _printable(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)
