"""Small replicas of the three repositories that the photographs come from, and the copy at hand."""

import io
import json
import os

import numpy as np
from PIL import Image

from dgl.datasets.photos5 import split_of, write_data_set

CLASSES = ("apple", "banana", "kangaroo", "orange", "raccoon")

KANGAROO = "annots/{}.xml", "images/{}.jpg"
RACCOON = "annotations/{}.xml", "images/{}.jpg"
TRAIN = "data/bbox/train/{}.json", "data/bbox/train/{}.jpg"
TEST = "data/bbox/test/{}.json", "data/bbox/test/{}.jpg"

# Written when orange_20.json had the id already: mixed_20.json has oranges only. The image and the
# XML are those of orange_20, as here.
SECOND_LINE = "orange_00020.jpg 3 51 25 303 284"


def relative_path(image_id):
    """Path of an image below its split's folder, without extension."""
    return image_id if split_of(image_id) == "val" else f"{image_id.split('_')[0]}/{image_id}"


def gradient(width, height):
    """A smooth image that tells its corners apart, (height, width, 3) uint8."""
    x = np.linspace(0, 255, width)[np.newaxis, :]
    y = np.linspace(0, 255, height)[:, np.newaxis]
    return np.stack(np.broadcast_arrays(x, y, (x + y) / 2), axis=2).astype(np.uint8)


def encoded(pixels, form="JPEG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def xml(boxes, size, name="kangaroo", filename="../../elsewhere.png"):
    objects = "".join(
        "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
        "<ymax>{}</ymax></bndbox></object>".format(name, *box)
        for box in boxes
    )
    return (
        f"<annotation><folder>images</folder><filename>{filename}</filename><path>/{filename}</path><size>"
        f"<width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>"
    )


def labelme(*shapes, **fields):
    """Text of a labelme file; a shape is ``(label, points)``."""
    rows = [
        {"label": s, "points": p, "shape_type": "rectangle", "fill_color": None} for s, p in shapes
    ]
    document = {"version": "3.5.0", "flags": {}, "shapes": rows, "imagePath": "../../x.jpg"}
    document["imageData"] = None
    document.update(fields)
    return json.dumps(document)


def put(root, places, name, annotation, photo):
    for place, content in zip(places, (annotation, photo)):
        if content is not None:
            path = os.path.join(str(root), place.format(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))


class Clones:
    """Small replicas of the three repositories, every class in both splits."""

    def __init__(self, root, filled=True):
        self.raccoon, self.kangaroo, self.fruit = (root / name for name in ("rac", "kan", "fru"))
        self.out = root / "made" / "photos5"
        if filled:
            self._fill()

    def _fill(self):
        photo = encoded(gradient(120, 80))
        box = (10, 20, 70, 60)
        for number in (1, 2, 3, 4, 7, 9):
            text = xml([box], (120, 80), "kangaroo")
            put(self.kangaroo, KANGAROO, f"{number:05d}", text, photo)
            text = xml([box], (120, 80), "raccoon", "raccoon-77.png")
            put(self.raccoon, RACCOON, f"raccoon-{number}", text, photo)
            for label in ("apple", "banana", "orange"):
                text = labelme((label, [[70, 20], [10, 60]]))
                places = TRAIN if number < 6 else TEST
                put(self.fruit, places, f"{label}_{number}", text, photo)

    def folders(self):
        return [str(path) for path in (self.raccoon, self.kangaroo, self.fruit)]

    def make(self, out=None):
        return write_data_set(*self.folders(), out=str(out or self.out), progress=False)

    def arguments(self):
        flags = ("--raccoon", "--kangaroo", "--fruit")
        pairs = [part for pair in zip(flags, self.folders()) for part in pair]
        return pairs + ["--out", str(self.out)]

    def photo(self, image_id):
        return str(self.out / split_of(image_id) / (relative_path(image_id) + ".jpg"))

    def xml(self, image_id):
        path = self.out / "annotations" / split_of(image_id)
        return str(path / (relative_path(image_id) + ".xml"))

    def line(self, image_id):
        path = self.out / "labels" / "photos5" / (split_of(image_id) + ".txt")
        start = relative_path(image_id) + ".jpg "
        found = [line for line in path.read_text().splitlines() if line.startswith(start)]
        return [int(value) for value in found[0].split()[1:]] if len(found) == 1 else found


def reasons(result):
    return {os.path.basename(item.path): item.reason for item in result.dropped}


PHOTO = encoded(gradient(120, 80))
BOX = [(1, 2, 50, 60)]
CORNERS = [[1, 2], [50, 60]]
