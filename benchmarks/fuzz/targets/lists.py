"""Data sets described by text files: lists of labels, published sets, boxes of detectors, class names."""

from benchmarks.fuzz.target import Target, check_data_set, each, joined, place, place_parts
from dgl.data import load_data
from dgl.data.class_names import read_class_names
from dgl.data.layouts.label_list import guess_image_root

_NUMBERS = (b"0", b"-1", b"nan", b"inf", b"1e9", b"1e-9", b".", b"+", b"999999999", b"1_0", b"\t")
_TEXT = _NUMBERS + (b"../", b"./", b"//", b"/", b"\xef\xbb\xbf", b"\r\n", b"\0", b"\xc2\x85")


def _label_list(data, folder):
    place_parts(folder, ("labels/x/val.txt", "labels/x/classes.txt", "classes.txt"), data)
    parts = data.split(b"\n%%\n", 1)
    place(folder, "labels/x/train.txt", parts[0])

    each(
        lambda split=split, layout=layout: check_data_set(load_data(folder, split, layout=layout))
        for split in ("val", "train")
        for layout in ("imagenet", "cub")
    )
    guess_image_root(folder)


def _label_seeds():
    return [
        joined(text, *more)
        for text, more in (
            ("a/b c.jpg 0 1 2 30 40\nd.png 1\n", ()),
            ("a.jpeg 0 1.5 2e0 30 40 5 6 7 8\r\n\r\nb.JPG\t1\n", ("one\ntwo\n",)),
            ("\ufeffa.tif 3 0 0 5 5\n", ("0 zero\n1 one\n2 two\n3 three\n",)),
            ("name without extension 2 1 1 4 4\n", ("001.a\n002.b\n003.c\n",)),
            ("a.jpg 0\na.jpg 0\n", ("x\n", "y\n")),
            ("é/ü.jpg 0 -3 -3 9 9\n", ()),
        )
    ]


CUB_FILES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "bounding_boxes.txt",
    "classes.txt",
)


def _cub(data, folder):
    place_parts(folder, CUB_FILES, data)
    each(
        lambda split=split, boxes=boxes: check_data_set(
            load_data(folder, split, with_boxes=boxes, layout="cub200")
        )
        for split, boxes in (("train", True), ("test", True), ("test", False))
    )


def _cub_seeds():
    return [
        joined(
            "1 a/x.jpg\n2 a/y.jpg\n3 b/z.jpg\n",
            "1 1\n2 1\n3 2\n",
            "1 1\n2 0\n3 0\n",
            "1 60.0 27.0 325.0 304.0\n2 1 2 3 4\n3 0 0 1 1\n",
            "1 001.Black_Bird\n2 002.Other\n",
        ),
        joined("7\tp q.jpg\n", "7 1\n", "7 0\n", "7 1e1 2.5 3 4\n", "1 only\n"),
    ]


ILSVRC_FILES = (
    "ImageSets/CLS-LOC/val.txt",
    "Annotations/CLS-LOC/val/a.xml",
    "LOC_synset_mapping.txt",
    "devkit/data/map_clsloc.txt",
)
_XML = (
    "<annotation><size><width>9</width><height>8</height></size><object><name>n01</name><bndbox>"
    "<xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"
)


def _ilsvrc(data, folder):
    place_parts(folder, ILSVRC_FILES, data)
    first = data.split(b"\n%%\n", 1)[0]
    place(folder, "ImageSets/CLS-LOC/train_cls.txt", first)
    each(
        lambda split=split, boxes=boxes: check_data_set(
            load_data(folder, split, with_boxes=boxes, layout="ilsvrc")
        )
        for split, boxes in (("val", True), ("val", False), ("train", True))
    )


def _ilsvrc_seeds():
    return [
        joined("a 1\n", _XML, "n01 tench, Tinca tinca\nn02 goldfish\n"),
        joined("n01/a 1\na.JPEG 2\n", _XML, "n01\n", "n01 1 tench\n"),
        joined("a 1\n", _XML),
        joined("b.jpg 1\n", _XML.replace("<object>", "<object/><object>"), "n01 x\n"),
    ]


WSOL_FILES = ("image_ids.txt", "class_labels.txt", "image_sizes.txt", "localization.txt")


def _wsol(data, folder):
    place_parts(folder, WSOL_FILES, data)
    each(
        lambda split=split, boxes=boxes: check_data_set(
            load_data(folder, split, with_boxes=boxes, layout="wsolevaluation")
        )
        for split, boxes in (("val", True), ("test", False), ("train", True))
    )


def _wsol_seeds():
    return [
        joined(
            "v/a.jpg\nv/b.jpg\n",
            "v/a.jpg,0\nv/b.jpg,1\n",
            "v/a.jpg,500,375\nv/b.jpg,100,90\n",
            "v/a.jpg,1,2,30,40\nv/a.jpg,5,6,7,8\nv/b.jpg,0,0,99,89\n",
        ),
        joined(
            "a.jpg\nb,c.jpg\n",
            "a.jpg,0\nb,c.jpg,3\n",
            "a.jpg,5,5\nb,c.jpg,6,6\n",
            "a.jpg,m/a1.png,m/i.png\na.jpg,m/a2.png,m/i.png\nb,c.jpg,m/b.png,\n",
        ),
    ]


def _coco(data, folder):
    place(folder, "annotations.json", data)
    check_data_set(load_data(folder, "val", layout="coco"))


def _coco_seeds():
    boxes = '[{"image_id": 1, "category_id": 3, "bbox": [1, 2.5, 3, 4], "iscrowd": 0}]'
    document = '{"images": [{"id": 1, "file_name": "a/b.jpg", "width": 9, "height": 8}],\n'
    document += '"categories": [{"id": 3, "name": "cat"}], "annotations": '
    return [
        (document + boxes + "}").encode(),
        (document + boxes.replace("1", '"x"', 1) + "}").replace('"id": 1', '"id": "x"').encode(),
    ]


VOC_FILES = ("Annotations/a.xml", "ImageSets/Main/val.txt", "classes.txt")


def _voc(data, folder):
    place_parts(folder, VOC_FILES, data)
    place(folder, "JPEGImages/a.jpg", b"x")
    each(
        lambda boxes=boxes: check_data_set(load_data(folder, "val", with_boxes=boxes, layout="voc"))
        for boxes in (True, False)
    )


def _voc_seeds():
    named = _XML.replace("<annotation>", "<annotation><filename>a.jpg</filename>")
    return [
        joined(_XML, "a\n"),
        joined(named, "a\n", "n01\nn02\n"),
        joined(_XML.replace("</name>", "</name><difficult>0</difficult>"), "a\na\n"),
    ]


YOLO_FILES = ("data.yaml", "labels/a.txt", "val.txt", "classes.txt")


def _yolo(data, folder):
    place_parts(folder, YOLO_FILES, data)
    place(folder, "images/a.jpg", b"P6\n40 30\n255\n")
    check_data_set(load_data(folder, "val", layout="yolo"))


def _yolo_seeds():
    return [
        joined("names: [cat, dog]\nval: images\n", "1 0.5 0.5 0.25 0.5\n"),
        joined("path: .\nval: val.txt\nnames:\n  0: cat\n", "0 0 0 1 1 0.5 1\n", "images/a.jpg\n"),
        joined("val: [images]\nnames: {0: a}\n", "0 .5 .5 1 1e0\n"),
    ]


def _class_names(data, folder):
    path = place(folder, "classes.txt", data)
    for with_numbers in (False, True):
        names = read_class_names(path, with_numbers)
        assert names and all(isinstance(name, str) and name for name in names)


def _class_name_seeds():
    return [
        b"tench\ngoldfish\n",
        b"0 tench\n1 goldfish\n",
        b"1\ttench\n2 goldfish",
        b"001.Black_footed_Albatross\n002.Laysan_Albatross\n",
        b"1 001.a\n2 002.b\n",
    ]


TARGETS = (
    Target("label_list", _label_list, _label_seeds, _TEXT + (b".jpg ", b" 0 ")),
    Target("cub", _cub, _cub_seeds, _TEXT),
    Target("ilsvrc", _ilsvrc, _ilsvrc_seeds, _TEXT + (b"<object>", b"&lt;", b"<!--")),
    Target("wsol_metadata", _wsol, _wsol_seeds, _TEXT + (b",", b",,", b".png")),
    Target("coco", _coco, _coco_seeds, (b'"iscrowd": 1', b'"id": 1', b"[", b"{", b"NaN", b"true")),
    Target("voc", _voc, _voc_seeds, _TEXT + (b"<difficult>1</difficult>", b"<part>", b"a")),
    Target(
        "yolo", _yolo, _yolo_seeds, _TEXT + (b"&a ", b"*a", b"!!python/", b"- ", b": ", b"test")
    ),
    Target("class_names", _class_names, _class_name_seeds, (b"001.", b"1 ", b"0 ", b"\xd9\xa1 ")),
)
