"""Small folders of files for the tests of data layouts."""

import csv
import json
import os


def make(root, files):
    """Write relative path -> text or bytes below ``root`` (a ``pathlib.Path``); returns it as str."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(root)


def contents(root):
    """Path below a folder -> bytes, of every file in it."""
    found = {}
    for folder, _, names in os.walk(str(root)):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, str(root))] = stream.read()
    return found


def read_csv(path):
    """The rows of a table, headings -> cells."""
    with open(str(path), encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# Small trees in the form of ILSVRC CLS-LOC: the published one, and a variant.
CAT, DOG, EEL = "n02000001", "n01000002", "n03000003"


def xml(*objects, **options):
    """XML text from ``(name, (x0, y0, x1, y1))`` pairs."""
    text = "".join(
        "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
        "<ymax>{}</ymax></bndbox></object>".format(name, *box)
        for name, box in objects
    )
    size = "<size><width>{}</width><height>{}</height></size>".format(*options.get("size", (9, 8)))
    return f"<annotation>{size}{text}</annotation>"


def coco(images, categories=("cat",), **parts):
    """JSON text of COCO's form from file name -> list of ``(class name, (x, y, width, height))``."""
    names = list(images)
    document = {
        "images": [
            {"id": 10 + i, "file_name": name, "width": 100, "height": 80}
            for i, name in enumerate(names)
        ],
        "annotations": [
            {"image_id": 10 + i, "category_id": 7 + 3 * categories.index(c), "bbox": list(box)}
            for i, name in enumerate(names)
            for c, box in images[name]
        ],
        "categories": [{"id": 7 + 3 * i, "name": name} for i, name in enumerate(categories)],
    }
    for number, annotation in enumerate(document["annotations"], 1):
        annotation["id"] = number
    return json.dumps(dict(document, **parts))


def cub(images, classes):
    """Files of CUB's form from ``(path, class index, is in training, box)`` and names of classes."""
    paths, indices, trained, boxes = zip(*images)
    values = {
        "images": paths,
        "image_class_labels": [index + 1 for index in indices],
        "train_test_split": map(int, trained),
        "bounding_boxes": [f"{x0} {y0} {x1 - x0} {y1 - y0}" for x0, y0, x1, y1 in boxes],
        "classes": classes,
    }
    return {
        name + ".txt": "".join(f"{n} {value}\n" for n, value in enumerate(column, 1))
        for name, column in values.items()
    }


def wsol(folder, images, sizes=None):
    """Files of wsolevaluation's form from ``(id, class index, boxes)``; sizes, if not 9 x 8 pixels."""
    sizes = sizes or [(9, 8)] * len(images)
    lines = {
        "image_ids": [key for key, _, _ in images],
        "class_labels": [f"{key},{index}" for key, index, _ in images],
        "image_sizes": [f"{row[0]},{size[0]},{size[1]}" for row, size in zip(images, sizes)],
        "localization": [
            f"{key},{','.join(map(str, b))}" for key, _, boxes in images for b in boxes
        ],
    }
    return {
        os.path.join(folder, name + ".txt"): "".join(line + "\n" for line in column)
        for name, column in lines.items()
    }


def labelme(*shapes, **fields):
    """Text of a labelme file from ``(label, points)`` pairs."""
    rows = [{"label": s, "points": p, "shape_type": "rectangle"} for s, p in shapes]
    return json.dumps(dict({"version": "3.5.0", "shapes": rows, "imageData": None}, **fields))


PUBLISHED = {
    f"Data/CLS-LOC/train/{CAT}/{CAT}_1.JPEG": "x",
    f"Data/CLS-LOC/train/{CAT}/{CAT}_2.JPEG": "x",
    f"Data/CLS-LOC/train/{DOG}/{DOG}_1.JPEG": "x",
    "Data/CLS-LOC/val/v_1.JPEG": "x",
    "Data/CLS-LOC/val/v_2.JPEG": "x",
    f"Annotations/CLS-LOC/train/{CAT}/{CAT}_1.xml": xml((CAT, (1, 2, 3, 4))),
    "Annotations/CLS-LOC/val/v_1.xml": xml((CAT, (1, 2, 3, 4)), (CAT, (5, 6, 7, 8))),
    "Annotations/CLS-LOC/val/v_2.xml": xml((DOG, (0, 0, 9, 8))),
    "ImageSets/CLS-LOC/train_cls.txt": f"{DOG}/{DOG}_1 1\n{CAT}/{CAT}_1 2\n{CAT}/{CAT}_2 3\n",
    "ImageSets/CLS-LOC/train_loc.txt": f"{CAT}/{CAT}_1 1\n",
    "ImageSets/CLS-LOC/val.txt": "v_2 1\nv_1 2\n",
    "LOC_synset_mapping.txt": f"{CAT} cat, true cat\n{DOG} dog\n{EEL} eel\n",
}
VAL_XML = "Annotations/CLS-LOC/val/"
VARIANT = {
    "train/red fox/a 1.jpg": "x",
    "train/cat/b.png": "x",
    "val/c.jpg": "x",
    "annotations/train/red fox/a 1.xml": xml(("red fox", (1, 2, 3, 4))),
    "annotations/val/c.xml": xml(("cat", (1, 2, 3, 4))),
}
