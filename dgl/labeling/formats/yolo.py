"""Format ``yolo``: ``data.yaml``, ``images/``, ``labels/``, ``train.txt`` and ``val.txt``.

A line of a label file is ``class x y width height``, the center and size as fractions of the image, or with
masks ``class x y x y ...``, one outline. https://docs.ultralytics.com/datasets/detect/
"""

from typing import List

import yaml

from dgl.labeling.formats.registry import Export, open_text, register_format
from dgl.labeling.labels import ImageLabels, LabeledObject


@register_format("yolo")
def write_yolo(export: Export) -> None:
    """Write the folder that a YOLO trainer takes; paths are relative to ``data.yaml``."""
    with open_text(export.folder, "data.yaml") as stream:
        classes = export.header.classes
        values = {"nc": len(classes), "names": dict(enumerate(classes))}
        stream.write("train: train.txt\nval: val.txt\n" + yaml.safe_dump(values, sort_keys=False))
    with open_text(export.folder, "train.txt") as train, open_text(export.folder, "val.txt") as val:
        for _, labels in export.images():
            name, path = export.free_name(_without_images(labels.image), "labels", ".txt")
            text = "".join(
                f"{found.class_index} {_numbers(found, labels, export.has_masks)}\n"
                for found in labels.objects
            )
            with open_text(path) as stream:
                stream.write(text)
            export.place_image(labels, "images/" + name)
            (val if export.is_val(labels) else train).write(f"./images/{name}\n")


def _without_images(name: str) -> str:
    """A path without folders of the name ``images``: readers take the last one for that of all images."""
    *folders, last = name.split("/")
    return "/".join([folder for folder in folders if folder != "images"] + [last])


def _numbers(found: LabeledObject, labels: ImageLabels, has_masks: bool) -> str:
    x0, y0, x1, y1 = found.box
    if not has_masks:
        x, y = (x0 + x1) / 2 / labels.width, (y0 + y1) / 2 / labels.height
        values: List[float] = [x, y, (x1 - x0) / labels.width, (y1 - y0) / labels.height]
    else:
        # Readers take a file with outlines and boxes for outlines only, so a box is one of four points.
        corners = (x0, y0, x1, y0, x1, y1, x0, y1)
        outline = max(found.polygons, key=len) if found.polygons else corners
        sides = (labels.width, labels.height)
        values = [value / sides[place % 2] for place, value in enumerate(outline)]
    return " ".join(f"{min(max(value, 0.0), 1.0):.7f}" for value in values)
