"""Format ``labelstudio``: ``tasks.json`` to import into Label Studio, and ``config.xml`` of the project.

Each task has one prediction with rectangles, or with polygons, in percent of the image. Images are served
by Label Studio from its own disk: ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`` has to be the folder that
holds the data folder. https://labelstud.io/guide/predictions
"""

import os
from typing import Any, Dict, Iterator
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from dgl.labeling.formats.registry import Export, open_text, register_format, write_array
from dgl.labeling.labels import ImageLabels, LabeledObject

_URL = "/data/local-files/?d="


@register_format("labelstudio")
def write_labelstudio(export: Export) -> None:
    """Write ``tasks.json`` and ``config.xml``."""
    with open_text(export.folder, "config.xml") as stream:
        names = "".join(f"    <Label value={quoteattr(n)}/>\n" for n in export.header.classes)
        tags = ["RectangleLabels"] + (["PolygonLabels"] if export.has_masks else [])
        stream.write('<View>\n  <Image name="image" value="$image"/>\n')
        for tag in tags:
            name = tag[: -len("Labels")].lower()
            stream.write(f'  <{tag} name="{name}" toName="image">\n{names}  </{tag}>\n')
        stream.write("</View>\n")
    with open_text(export.folder, "tasks.json") as stream:
        write_array(stream, _tasks(export))
        stream.write("\n")


def _tasks(export: Export) -> Iterator[Dict[str, Any]]:
    folder = os.path.basename(export.header.data["path"])
    model = f"dgl {export.header.version} {export.header.network['mode']}"
    for number, labels in export.images():
        path = f"{folder}/{labels.image}".encode("utf-8", "surrogateescape")
        scores = [o.confidence for o in labels.objects if o.confidence is not None]
        prediction: Dict[str, Any] = {
            "model_version": model,
            "result": [
                _result(found, labels, f"{number}-{place}")
                for place, found in enumerate(labels.objects, 1)
            ],
        }
        if scores:
            prediction["score"] = min(scores)
        yield {
            "data": {"image": _URL + quote(path), "path": labels.image},
            "predictions": [prediction],
        }


def _result(found: LabeledObject, labels: ImageLabels, identity: str) -> Dict[str, Any]:
    x0, y0, x1, y1 = found.box
    across, down = 100.0 / labels.width, 100.0 / labels.height
    if found.polygons:
        outline = max(found.polygons, key=len)
        kind = "polygon"
        value: Dict[str, Any] = {
            "points": [
                [round(x * across, 4), round(y * down, 4)]
                for x, y in zip(outline[::2], outline[1::2])
            ],
            "closed": True,
        }
    else:
        kind = "rectangle"
        value = {
            "x": round(x0 * across, 4),
            "y": round(y0 * down, 4),
            "width": round((x1 - x0) * across, 4),
            "height": round((y1 - y0) * down, 4),
            "rotation": 0,
        }
    value[kind + "labels"] = [found.class_name]
    result = {
        "id": identity,
        "from_name": kind,
        "to_name": "image",
        "type": kind + "labels",
        "original_width": labels.width,
        "original_height": labels.height,
        "image_rotation": 0,
        "value": value,
    }
    if found.confidence is not None:
        result["score"] = found.confidence
    return result
