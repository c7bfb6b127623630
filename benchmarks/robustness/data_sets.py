"""Valid and damaged data sets in every layout, and sources of photos5."""

import io
import json
import os

from PIL import Image
from sample_images import blob_image
from trees import CAT, PUBLISHED, VARIANT, xml

from .case import ANY, GOOD, Case
from .mutate import REPLACEMENTS, around, refused

ESCAPE = "\x1b]0;OWNED\x07\x1b[2J"
SECRET = "the secret of another folder"


def jpeg(seed=1):
    """bytes of a small photograph."""
    stream = io.BytesIO()
    Image.fromarray(blob_image(seed)[:60, :80]).save(stream, "JPEG")
    return stream.getvalue()


def encoded(files):
    """A tree of texts as bytes, its images as real ones."""
    photo = jpeg()
    return {
        name: photo if text == "x" else text.encode("utf-8") if isinstance(text, str) else text
        for name, text in files.items()
    }


LISTS = encoded({
    "labels/tiny/train.txt": "a.jpg 0 1 2 30 40\nb.jpg 1 5 5 9 9 1 1 4 4\n",
    "labels/tiny/val.txt": "c.jpg 0 1 2 30 40\nd.jpg 1 3 3 20 20\n",
    "classes.txt": "cat\ndog\n",
    "train/a.jpg": "x", "train/b.jpg": "x", "val/c.jpg": "x", "val/d.jpg": "x",
})  # fmt: skip
CUB = encoded({
    "images.txt": "1 001.a/1.jpg\n2 002.b/2.jpg\n3 001.a/3.jpg\n4 002.b/4.jpg\n",
    "image_class_labels.txt": "1 1\n2 2\n3 1\n4 2\n",
    "train_test_split.txt": "1 1\n2 1\n3 0\n4 0\n",
    "bounding_boxes.txt": "".join(f"{i} 1.0 2.0 30.0 20.0\n" for i in (1, 2, 3, 4)),
    "classes.txt": "1 001.a\n2 002.b\n",
    "images/001.a/1.jpg": "x", "images/002.b/2.jpg": "x",
    "images/001.a/3.jpg": "x", "images/002.b/4.jpg": "x",
})  # fmt: skip
WSOL = encoded({
    f"metadata/BIRDS/{split}/{name}": text
    for split in ("train", "val", "test")
    for name, text in {
        "image_ids.txt": "a/1.jpg\nb/2.jpg\n",
        "class_labels.txt": "a/1.jpg,0\nb/2.jpg,1\n",
        "image_sizes.txt": "a/1.jpg,80,60\nb/2.jpg,80,60\n",
        "localization.txt": "a/1.jpg,1,2,30,40\nb/2.jpg,1,2,30,40\nb/2.jpg,4,4,9,9\n",
    }.items()
})  # fmt: skip
WSOL.update(encoded({"BIRDS/a/1.jpg": "x", "BIRDS/b/2.jpg": "x"}))
FOLDERS = encoded({
    "train/cat/1.jpg": "x", "train/dog/2.jpg": "x", "val/cat/3.jpg": "x", "val/dog/4.jpg": "x",
})  # fmt: skip
ILSVRC = encoded(PUBLISHED)
MANNER = encoded(VARIANT)


def photos5():
    """Three clones with an image or two each, for both splits."""
    voc = xml(("{}", (3, 3, 40, 50)), size=(80, 60))
    shapes = [{"label": "apple", "points": [[3, 3], [40, 50]], "shape_type": "rectangle"}]
    text = json.dumps({"shapes": shapes, "imageWidth": 80, "imageHeight": 60})
    files = {}
    for number in range(6):
        kangaroo, raccoon = f"{number:05d}", f"raccoon-{number}"
        files[f"kangaroo/annots/{kangaroo}.xml"] = voc.format("kangaroo")
        files[f"kangaroo/images/{kangaroo}.jpg"] = "x"
        files[f"raccoon/annotations/{raccoon}.xml"] = voc.format("raccoon")
        files[f"raccoon/images/{raccoon}.jpg"] = "x"
        files[f"fruit/data/bbox/train/apple_{number}.json"] = text
        files[f"fruit/data/bbox/train/apple_{number}.jpg"] = "x"
    files["fruit/data/bbox/test/apple_9.json"] = text
    files["fruit/data/bbox/test/apple_9.jpg"] = "x"
    return encoded(files)


# Lines that replace the first one of a list, a table or a file of metadata.
_WORDS = {
    "empty": b"",
    "spaces": b"   \n\t\n",
    "one word": b"a\n",
    "text without an end": lambda: b"a" * (50 << 20),
    "a million columns": b"1 " * 1000000 + b"\n",
    "a million commas": b"a/1.jpg" + b"," * 1000000 + b"\n",
    "UTF-16": "a.jpg 0\n".encode("utf-16"),
    "NUL": b"a\0b.jpg 0\n",
    "control characters": b"\x1b]0;OWNED\x07\x1b[2J.jpg 0 1 2 3 4\n",
    "bytes that are no UTF-8": b"\xff\xfe\xfa.jpg 0\n",
}


def _texts(kind, files, target, separator):
    """A file of lines that holds anything but what it should."""
    for name, data in _WORDS.items():
        slow = callable(data)
        yield Case(kind, f"{target} is {name}", dict(files, **{target: data}), slow=slow)
    good = files[target]
    for name, data in (
        ("a byte order mark", b"\xef\xbb\xbf" + good),
        ("CRLF", good.replace(b"\n", b"\r\n")),
        ("no last line end", good.rstrip()),
    ):
        yield Case(kind, f"{target} with {name}", dict(files, **{target: data}), GOOD)
    last = good.splitlines()[-1]
    for name, value in (
        ("10**30", b"1" + b"0" * 30), ("-1", b"-1"), ("1e5", b"1e5"), ("nan", b"nan"),
        ("inf", b"inf"), ("-inf", b"-inf"), ("1e308", b"1e308"), ("999999999", b"999999999"),
        ("0x10", b"0x10"), ("other digits", "\u0663".encode("utf-8")),
        ("5000 digits", b"7" * 5000),
    ):  # fmt: skip
        fields = last.split(separator)
        for place in range(1, len(fields)):
            line = separator.join(fields[:place] + [value] + fields[place + 1 :])
            where = f"{target} with {name} at {place}"
            data = good[: good.rindex(last)] + line + b"\n"
            yield Case(kind, where, dict(files, **{target: data}), slow=place > 2)


def _paths(kind, files, target, line):
    """A list whose paths lead elsewhere. ``line``: a line with a place for the path."""
    for path in (
        "../outside/secret.jpg", "../../../../etc/passwd", "/etc/passwd", "a/../../../outside/x.jpg",
        "./../outside/secret.jpg", "..", "//etc/passwd", "\\..\\x.jpg", "~/x.jpg", "a" * 5000,
        "a/" * 3000 + "x.jpg", "con.jpg", ".", "a//b.jpg", "-rf.jpg", "$(touch CANARY).jpg",
        ESCAPE + ".jpg", "\u202egpj.exe.jpg",
    ):  # fmt: skip
        data = files[target] + line.format(path).encode("utf-8") + b"\n"
        changed = dict(files, **{target: data})
        leads_out = path.startswith(("../", "/", "./..", "a/../..")) or path == ".."
        if leads_out:
            yield refused(kind, f"{target} leads to {path}", changed)
        else:
            yield Case(kind, f"{target} names {path[:40]!r}", changed, ANY)


def _boxes(kind, files, target, line, corners=True):
    """A file of boxes with every kind of bad box.

    ``line``: a line with a place for four numbers, which are two ``corners`` or a corner and a size.
    """
    end = 1 if corners else -1
    for name, box, must in (
        ("reversed", (9, 9, end, end), True), ("infinite", ("inf", 0, 1, 1), True),
        ("NaN", ("nan", "nan", "nan", "nan"), True), ("negative", (-9, -9, -end, -end), False),
        ("empty", (5, 5, 5, 5), False), ("huge", (-9e8, -9e8, 9e8, 9e8), False),
        ("1e300", (0, 0, "1e300", "1e300"), True), ("beyond", (1000, 1000, 2000, 2000), False),
    ):  # fmt: skip
        changed = dict(files, **{target: files[target] + line.format(*box).encode() + b"\n"})
        name = f"{target} has a box that is {name}"
        yield refused(kind, name, changed) if must else Case(kind, name, changed, GOOD)


_LAUGHS = "".join('<!ENTITY l{} "{}">'.format(i, f"&l{i - 1};" * 10) for i in range(1, 10))
_XML = {
    "billion laughs": '<!DOCTYPE a [<!ENTITY l0 "ha">' + _LAUGHS + "]><annotation>&l9;</annotation>",
    "quadratic": '<!DOCTYPE a [<!ENTITY b "' + "b" * 100000 + '">]><annotation>' + "&b;" * 20000
    + "</annotation>",
    "external entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<annotation><object><name>&x;</name></object></annotation>",
    "external entity of a pipe": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///dev/zero">]>'
    "<annotation>&x;</annotation>",
    "external document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><annotation/>',
    "deep": "<annotation>" + "<a>" * 100000 + "</a>" * 100000 + "</annotation>",
    "deep without an end": "<annotation>" * 80000,
    "attributes": "<annotation " + " ".join(f'a{i}="1"' for i in range(50000)) + "/>",
    "other root": "<html/>",
    "no object": "<annotation/>",
    "NUL": "<annotation>\0</annotation>",
    "unknown encoding": '<?xml version="1.0" encoding="nope"?><annotation/>',
    "UTF-7": '<?xml version="1.0" encoding="utf-7"?><annotation/>',
    "control characters": xml(("&#27;]0;OWNED", (1, 2, 3, 4))),
    "name of two lines": xml(("a\nb", (1, 2, 3, 4))),
    "name that leads out": xml(("../../outside", (1, 2, 3, 4))),
    "huge size": xml((CAT, (1, 2, 3, 4)), size=("9" * 5000, 1)),
    "20,000 objects": xml(*[(CAT, (1, 2, 3, 4))] * 7000),
    "reversed box": xml((CAT, (9, 9, 1, 1))),
    "NaN box": xml((CAT, ("nan", 1, 2, 3))),
    "infinite box": xml((CAT, ("1", "1", "inf", "inf"))),
    "comments": "<annotation>" + "<!---->" * 100000 + "</annotation>",
}  # fmt: skip


def _xml_cases(kind, files, target):
    for name, text in _XML.items():
        changed = dict(files, **{target: text.encode("utf-8")})
        yield Case(kind, f"{target} is {name}", changed)
    changed = dict(files, **{target: lambda: b"<annotation>" + b" " * (60 << 20)})
    yield refused(kind, target + " has 60 MB", changed, slow=True)


_JSON = {
    "deep": b"[" * 200000,
    "deep and whole": b"[" * 50000 + b"]" * 50000,
    "no object": b"3",
    "NaN": b'{"shapes": [{"label": "apple", "points": [[NaN, 1], [2, 3]]}]}',
    "infinity": b'{"shapes": [{"label": "apple", "points": [[1, 1], [Infinity, 3]]}]}',
    "digits": b'{"shapes": [{"label": "apple", "points": [[1, 1], [' + b"7" * 200000 + b", 3]]}]}",
    "texts": b'{"shapes": [{"label": "apple", "points": [["1", "1"], ["2", "3"]]}]}',
    "a label of two lines": b'{"shapes": [{"label": "a\\nb\\u001b[2J", "points": [[1, 1], [2, 3]]}]}',
    "half a character": b'{"shapes": [{"label": "\\ud800", "points": [[1, 1], [2, 3]]}]}',
    "huge size": b'{"shapes": [], "imageWidth": 1e300, "imageHeight": 1e300}',
    "a path": b'{"shapes": [], "imagePath": "/etc/passwd"}',
    "null": b'{"shapes": null}',
    "UTF-16": '{"shapes": []}'.encode("utf-16"),
}


def _names(kind, files, old, folder):
    """Files and folders whose names would do something to a terminal or to an encoder."""
    for name in (
        b"\x1b]0;OWNED\x07.jpg", b"two\nlines.jpg", b"\xff\xfe.jpg", b" .jpg", b"a\rb.jpg",
        "\u202egpj.jpg".encode("utf-8"), b"-load.jpg", b"'; touch CANARY;'.jpg", b"n" * 250 + b".jpg",
        b"\xc2\x9b2J.jpg",
    ):  # fmt: skip
        changed = dict(files)
        changed[folder.encode() + b"/" + name] = files[old]
        yield Case(kind, f"image named {name[:20]!r}", changed, ANY)
        parent = folder.rpartition("/")[0].encode()
        changed = dict(files)
        changed[parent + b"/" + name[:-4] + b"/1.jpg"] = files[old]
        yield Case(kind, f"folder named {name[:20]!r}", changed, ANY)


def _spare(kind, files, folder):
    """Things beside the images that are none: pipes, devices and links without end."""
    for what, make in REPLACEMENTS:
        for name in ("spare.jpg", "spare", "spare.xml"):
            where = f"{folder}/{name} is {what}"
            yield Case(kind, where, files, ANY, {folder + "/" + name: make})
    yield Case(kind, folder + " has a link to itself", files, ANY, {folder + "/loop": _link_here})


def _link_here(path, outside):
    os.symlink(".", path)


def cases():
    """Yields every :class:`~benchmarks.robustness.case.Case` of data sets."""
    lists = "labels/tiny/val.txt"
    yield from around("label lists", "lists", LISTS, [lists, "classes.txt", "val/c.jpg"])
    yield from _texts("label lists", LISTS, lists, b" ")
    yield from _texts("label lists", LISTS, "classes.txt", b" ")
    yield from _paths("label lists", LISTS, lists, "{} 0 1 2 3 4")
    yield from _boxes("label lists", LISTS, lists, "d.jpg 1 {} {} {} {}")
    yield from _names("label lists", LISTS, "val/c.jpg", "val")
    yield from _spare("label lists", LISTS, "labels")

    tables = [name for name in CUB if name.endswith(".txt")]
    yield from around("CUB", "tables", CUB, tables)
    for name in tables:
        yield from _texts("CUB", CUB, name, b" ")
    yield from _paths("CUB", CUB, "images.txt", "5 {}")
    boxes = dict(
        CUB, **{"bounding_boxes.txt": b"".join(CUB["bounding_boxes.txt"].splitlines(True)[:3])}
    )
    yield from _boxes("CUB", boxes, "bounding_boxes.txt", "4 {} {} {} {}", False)

    annotation = "Annotations/CLS-LOC/val/v_2.xml"
    texts = ["ImageSets/CLS-LOC/val.txt", "LOC_synset_mapping.txt"]
    yield from around("ILSVRC", "published", ILSVRC, texts + [annotation])
    for name in texts:
        yield from _texts("ILSVRC", ILSVRC, name, b" ")
    yield from _paths("ILSVRC", ILSVRC, texts[0], "{} 3")
    yield from _xml_cases("ILSVRC", ILSVRC, annotation)
    yield from _spare("ILSVRC", ILSVRC, "Annotations/CLS-LOC/val")
    yield from around("ILSVRC", "its manner", MANNER, ["annotations/val/c.xml"], flips=4)
    yield from _spare("ILSVRC", MANNER, "val")
    yield from _spare("ILSVRC", MANNER, "train")
    yield from _names("ILSVRC", MANNER, "val/c.jpg", "train/cat")

    split = "metadata/BIRDS/test/"
    metadata = [split + n for n in ("image_ids.txt", "class_labels.txt", "image_sizes.txt",
                                    "localization.txt")]  # fmt: skip
    yield from around("wsolevaluation", "metadata", WSOL, metadata)
    for name in metadata:
        yield from _texts("wsolevaluation", WSOL, name, b",")
    yield from _paths("wsolevaluation", WSOL, metadata[0], "{}")
    masks = dict(WSOL, **{metadata[3]: b"a/1.jpg,a/1.jpg,\nb/2.jpg,b/2.jpg,\n"})
    yield Case("wsolevaluation", "masks", masks, GOOD)
    yield from _paths("wsolevaluation", masks, metadata[3], "a/1.jpg,{},")
    yield from _boxes("wsolevaluation", WSOL, metadata[3], "a/1.jpg,{},{},{},{}")
    yield from _spare("wsolevaluation", WSOL, "metadata")

    yield Case("class folders", "folders", FOLDERS, GOOD)
    yield from around("class folders", "one of them", FOLDERS, ["val/cat/3.jpg"], flips=2)
    yield from _names("class folders", FOLDERS, "val/cat/3.jpg", "train/cat")
    yield from _spare("class folders", FOLDERS, "train")
    yield from _spare("class folders", FOLDERS, "train/cat")

    yield from photos5_cases()


def photos5_cases():
    kind, files = "photos5", photos5()
    apple, raccoon = "fruit/data/bbox/test/apple_9.json", "raccoon/annotations/raccoon-1.xml"
    yield from around(kind, "clones", files, [apple, raccoon, "raccoon/images/raccoon-1.jpg"])
    for name, data in _JSON.items():
        yield Case(kind, f"{apple} is {name}", dict(files, **{apple: data}))
    changed = dict(files, **{apple: lambda: b'{"shapes": "' + b" " * (40 << 20)})
    yield refused(kind, apple + " has 40 MB", changed, slow=True)
    yield from _xml_cases(kind, files, raccoon)
    yield from _spare(kind, files, "raccoon/annotations")
    yield from _names(kind, files, "raccoon/images/raccoon-1.jpg", "raccoon/images")
