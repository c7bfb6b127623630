"""A small store of labels with its images, made without a network."""

from PIL import Image
from sample_images import exif_of

from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.store import Header, LabelStore

CLASSES = ("apple", "bird & <friend>")


def header(path="/data", images=0, **changes):
    data = dict(name="toys", layout="folder", split="train", fingerprint="f")
    own = {
        "version": "0",
        "data": dict(data, path=str(path), images=images),
        "network": {"mode": "vgg", "load": "w", "weights": "digest", "method": "dgl", "layer": "a"},
        "options": {"masks": False, "batch": 2},
        "classes": CLASSES,
        "calibration": {},
    }
    return Header(**dict(own, **changes))


def an_object(box, class_index=0, **changes):
    own = {"score_mean": 0.5, "score_max": 1.0, "probability": 0.25, "confidence": 0.75}
    return LabeledObject(box, class_index, CLASSES[class_index], **dict(own, **changes))


def make_store(folder, masks=False):
    """Four images in ``folder/data``, one of them turned by EXIF and one in a sub-folder; their labels in
    ``folder/out``: boxes with halves, two objects in the second image, none in the last, and an image that
    could not be read. Returns (out, list of labels)."""
    made = [
        ("a.jpg", (60, 40), [(2.5, 3.25, 40.0, 38.75)]),
        ("b c.jpg", (50, 50), [(0.0, 0.0, 50.0, 50.0), (10.0, 5.5, 20.25, 45.0)]),
        ("sub/turned.jpg", (30, 80), [(1.0, 30.0, 29.5, 79.75)]),
        ("sub/a.jpg", (64, 48), []),
    ]
    data, out, images = folder / "data", str(folder / "out"), []
    (data / "sub").mkdir(parents=True)
    for name, size, boxes in made:
        orientation, stored = (6, size[::-1]) if "turned" in name else (1, size)
        Image.new("RGB", stored).save(str(data / name), exif=exif_of(orientation))
        objects = []
        for place, box in enumerate(boxes):
            x0, y0, x1, y1 = box
            outline = ((x0, y0, x1, y0, x1, y1, x0, y1),)
            changes = {"confidence": 0.75 - place / 2, "polygons": outline if masks else None}
            objects.append(an_object(box, place, **changes))
        images.append(ImageLabels(name, size[0], size[1], 0, tuple(objects)))
    images.append(ImageLabels("gone.jpg", error="gone.jpg: no such file"))
    own = header(data, len(images), options={"masks": masks, "batch": 2})
    with LabelStore(out, own) as store:
        store.append(images)
    return out, images
