"""Format ``coco``: ``annotations.json`` as of MS COCO, and ``images/``.

Boxes are ``[x, y, width, height]``. ``file_name`` is the path below ``images/``, and below the labeled
folder.
``score`` is the confidence, or the map's mean where there is none. Categories count from 1, as in COCO.
https://cocodataset.org/#format-data
"""

import json
from typing import Any, Dict, Iterator

from dgl.labeling.formats.registry import (
    IDS_PER_IMAGE,
    Export,
    open_text,
    register_format,
    write_array,
)
from dgl.labeling.labels import LabeledObject


@register_format("coco")
def write_coco(export: Export) -> None:
    """Write ``annotations.json`` in two passes over the store, and the images."""
    data = export.header.data
    info = {
        "description": f"{data['name']}, {data['split']}",
        "version": export.header.version,
        "contributor": "dgl label",
    }
    categories = [
        {"id": index + 1, "name": name, "supercategory": ""}
        for index, name in enumerate(export.header.classes)
    ]
    with open_text(export.folder, "annotations.json") as stream:
        stream.write(f'{{"info":{json.dumps(info)},\n"licenses":[],\n"categories":')
        write_array(stream, categories)
        stream.write(',\n"images":')
        write_array(stream, _images(export))
        stream.write(',\n"annotations":')
        write_array(stream, _annotations(export))
        stream.write("}\n")


def _images(export: Export) -> Iterator[Dict[str, Any]]:
    for number, labels in export.images():
        export.place_image(labels, "images/" + labels.image)
        yield {
            "id": number,
            "file_name": labels.image,
            "width": labels.width,
            "height": labels.height,
        }


def _annotations(export: Export) -> Iterator[Dict[str, Any]]:
    for number, labels in export.images():
        for place, found in enumerate(labels.objects, 1):
            x0, y0, x1, y1 = found.box
            polygons = [list(polygon) for polygon in found.polygons or ()]
            score = found.score_mean if found.confidence is None else found.confidence
            yield {
                "id": number * IDS_PER_IMAGE + place,
                "image_id": number,
                "category_id": found.class_index + 1,
                "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
                "area": round(_area(found), 2),
                "iscrowd": 0,
                "segmentation": polygons,
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
