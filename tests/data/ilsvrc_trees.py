"""Small trees in the form of ILSVRC CLS-LOC: the published one, and one in its manner."""

CAT, DOG, EEL = "n02000001", "n01000002", "n03000003"


def xml(*objects, **options):
    """XML text from ``(name, (x0, y0, x1, y1))`` pairs."""
    text = "".join(
        "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
        "<ymax>{}</ymax></bndbox></object>".format(name, *box)
        for name, box in objects
    )
    size = "<size><width>{}</width><height>{}</height></size>".format(*options.get("size", (9, 8)))
    return "<annotation>{}{}</annotation>".format(size, text)


SYNSETS = "{} cat, true cat\n{} dog\n{} eel\n".format(CAT, DOG, EEL)
PUBLISHED = {
    "Data/CLS-LOC/train/{0}/{0}_1.JPEG".format(CAT): "x",
    "Data/CLS-LOC/train/{0}/{0}_2.JPEG".format(CAT): "x",
    "Data/CLS-LOC/train/{0}/{0}_1.JPEG".format(DOG): "x",
    "Data/CLS-LOC/val/v_1.JPEG": "x",
    "Data/CLS-LOC/val/v_2.JPEG": "x",
    "Annotations/CLS-LOC/train/{0}/{0}_1.xml".format(CAT): xml((CAT, (1, 2, 3, 4))),
    "Annotations/CLS-LOC/val/v_1.xml": xml((CAT, (1, 2, 3, 4)), (CAT, (5, 6, 7, 8))),
    "Annotations/CLS-LOC/val/v_2.xml": xml((DOG, (0, 0, 9, 8))),
    "ImageSets/CLS-LOC/train_cls.txt": "{1}/{1}_1 1\n{0}/{0}_1 2\n{0}/{0}_2 3\n".format(CAT, DOG),
    "ImageSets/CLS-LOC/train_loc.txt": "{0}/{0}_1 1\n".format(CAT),
    "ImageSets/CLS-LOC/val.txt": "v_2 1\nv_1 2\n",
    "LOC_synset_mapping.txt": SYNSETS,
}
VAL_XML = "Annotations/CLS-LOC/val/"
VARIANT = {
    "train/red fox/a 1.jpg": "x",
    "train/cat/b.png": "x",
    "val/c.jpg": "x",
    "annotations/train/red fox/a 1.xml": xml(("red fox", (1, 2, 3, 4))),
    "annotations/val/c.xml": xml(("cat", (1, 2, 3, 4))),
}
