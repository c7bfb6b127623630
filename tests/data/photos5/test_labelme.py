"""Files of labelme: what is read, and that hostile or damaged ones end in one line."""

import json
import os

import pytest
from photos5_clones import CORNERS, PICTURE, TRAIN, labelme, put

from dgl.datasets.photos5.sources import read_labelme
from dgl.errors import UserError


@pytest.mark.parametrize(
    "text, message",
    [
        (b"", "no JSON"),
        (b"[" * 100000, "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[]", 'no list "shapes"'),
        (b'{"shapes": {}}', 'no list "shapes"'),
        (b'{"shapes": [3]}', 'shape 1: no "label"'),
        (labelme((["apple"], CORNERS)), 'shape 1: no "label"'),
        (labelme(("apple", CORNERS), (" ", CORNERS)), 'shape 2: no "label"'),
        (labelme(("apple", None)), "shape 1: no proper"),
        (labelme(("apple", [[1, 2]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [3]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], ["3", "4"]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [True, 4]])), "shape 1: no proper"),
        (labelme(("apple", [[1, 2], [float("nan"), 4]])), "shape 1: box"),
        (labelme(("apple", [[1, 2], [3, 4e300]])), "shape 1: box"),
        (
            b'{"shapes":[{"label":"a","points":[[1,2],[3,' + b"9" * 1000000 + b"]]}]}",
            "shape 1: box",
        ),
        (labelme(("apple", CORNERS), imageWidth=0.5, imageHeight=3), "imageWidth"),
        (labelme(("apple", CORNERS), imageWidth=10), "imageWidth"),
        (labelme(("apple", CORNERS)).replace("rectangle", "circle"), "shape_type 'circle'"),
    ],
)
def test_damaged_labelme(clones, text, message):
    put(clones.fruit, TRAIN, "apple_44", text, PICTURE)
    path = str(clones.fruit / "data" / "bbox" / "train" / "apple_44.json")
    with pytest.raises(UserError) as caught:
        clones.make()
    line = str(caught.value)
    assert line.startswith(path + ": ") and message in line and "expected" in line
    assert "\n" not in line and len(line) < len(path) + 300
    assert not os.path.exists(str(clones.out))


def test_labelme_of_any_size_and_kind(tmp_path):
    large = tmp_path / "a.json"
    with open(str(large), "wb") as stream:
        stream.truncate(16 * 1024 * 1024 + 1)
    with pytest.raises(UserError, match="a.json: more than 16777216 bytes; expected"):
        read_labelme(str(large))
    os.mkfifo(str(tmp_path / "b.json"))
    for name, reason in (("b.json", "not a file"), ("c.json", "cannot be read")):
        with pytest.raises(UserError, match=name + ": " + reason):
            read_labelme(str(tmp_path / name))


@pytest.mark.parametrize("shape_type", ["rectangle", "polygon", None])
def test_a_box_encloses_its_points_in_any_order(tmp_path, shape_type):
    text = labelme(("apple", [[70, 20.5], [10, 60]]), ("pear", [[1, 2], [3, 4], [0, 9]]))
    path = tmp_path / "a.json"
    document = json.loads(text)
    for shape in document["shapes"]:
        shape["shape_type"] = shape_type
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    found = read_labelme(str(path))
    assert found.names == ("apple", "pear") and found.size is None
    assert found.boxes == ((10, 20.5, 70, 60), (0, 2, 3, 9))
