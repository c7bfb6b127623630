"""A small store of labels with its images, made without a network."""

import os

import numpy as np
from PIL import Image

from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.store import Header, LabelStore

CLASSES = ("apple", "bird & <friend>")
TURNED = 6  # EXIF: to be turned clockwise


def header(path="/data", images=0, **changes):
    own = {
        "version": "0",
        "data": {"path": str(path), "name": "toys", "layout": "folder", "split": "train",
                 "images": images, "fingerprint": "f"},
        "network": {"mode": "vgg", "load": "w", "weights": "digest", "method": "dgl", "layer": "a"},
        "options": {"masks": False, "batch": 2},
        "classes": CLASSES,
        "calibration": {},
    }  # fmt: skip
    own.update(changes)
    return Header(**own)


def an_object(box, class_index=0, **changes):
    own = {"score_mean": 0.5, "score_max": 1.0, "probability": 0.25, "confidence": 0.75}
    own.update(changes)
    return LabeledObject(box, class_index, CLASSES[class_index], **own)


def square(x0, y0, x1, y1):
    return ((x0, y0, x1, y0, x1, y1, x0, y1),)


def write_images(folder):
    """Four images, one of them turned by EXIF and one in a sub-folder; returns path -> upright size."""
    sizes = {
        "a.jpg": (60, 40),
        "b c.jpg": (50, 50),
        "sub/turned.jpg": (30, 80),
        "sub/a.jpg": (64, 48),
    }
    for name, (width, height) in sizes.items():
        path = os.path.join(str(folder), *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if "turned" in name:
            exif = Image.Exif()
            exif[0x0112] = TURNED
            Image.fromarray(np.zeros((width, height, 3), "uint8")).save(path, exif=exif)
        else:
            Image.fromarray(np.zeros((height, width, 3), "uint8")).save(path)
    return sizes


def made_images(sizes, masks=False):
    """Labels of `write_images`: boxes with halves, two objects in the second, none in the last."""
    boxes = [[(2.5, 3.25, 40.0, 38.75)], [(0.0, 0.0, 50.0, 50.0), (10.0, 5.5, 20.25, 45.0)],
             [(1.0, 30.0, 29.5, 79.75)], []]  # fmt: skip
    for (image, size), own in zip(sizes.items(), boxes):
        objects = tuple(
            an_object(
                box,
                place % 2,
                polygons=square(*box) if masks else None,
                confidence=0.75 - place / 2,
            )
            for place, box in enumerate(own)
        )
        yield ImageLabels(image, size[0], size[1], 0, objects)


def make_store(folder, masks=False):
    """Images in ``folder/data``, their labels in ``folder/out``; returns (out, list of labels)."""
    data, out = folder / "data", str(folder / "out")
    images = list(made_images(write_images(data), masks))
    images.append(ImageLabels("gone.jpg", error="gone.jpg: no such file"))
    own = header(data, len(images), options={"masks": masks, "batch": 2})
    with LabelStore(out, own) as store:
        store.append(images)
    return out, images
