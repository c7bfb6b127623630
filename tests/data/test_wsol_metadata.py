"""The metadata folders of wsolevaluation, from small folders of the same form."""

import logging

import pytest

from dgl.data.wsol_metadata import Record, read_metadata
from dgl.errors import UserError

BOXES = {
    "image_ids.txt": "a/1.jpg\nb, c/2.jpg\na/3.jpg\n",
    "class_labels.txt": "a/3.jpg,2\na/1.jpg,0\nb, c/2.jpg,1\n",
    "image_sizes.txt": "a/1.jpg,500,375\nb, c/2.jpg,20,30\na/3.jpg,9,8\n",
    "localization.txt": "a/1.jpg,1,2,3,4\na/1.jpg,5,6,7.5,8\nb, c/2.jpg,0,0,20,30\na/3.jpg,1,1,2,2\n",
}
MASKS = dict(
    BOXES,
    **{
        "localization.txt": "a/1.jpg,a/1_m0.png,a/1_ignore.png\na/1.jpg,a/1_m1.png,\n"
        "b, c/2.jpg,b/2_m.png,\na/3.jpg,a/3_m.png,\na/3.jpg,a/3_n.png,a/3_ignore.png\n"
    },
)


def write(folder, files):
    for name, text in files.items():
        (folder / name).write_text(text)
    return str(folder)


def test_boxes(tmp_path):
    assert read_metadata(write(tmp_path, BOXES)) == [
        Record("a/1.jpg", 0, ((1, 2, 3, 4), (5, 6, 7.5, 8)), (500, 375), (), None),
        Record("b, c/2.jpg", 1, ((0, 0, 20, 30),), (20, 30), (), None),
        Record("a/3.jpg", 2, ((1, 1, 2, 2),), (9, 8), (), None),
    ]


@pytest.mark.parametrize("with_sizes", [True, False])
def test_masks_with_and_without_sizes(tmp_path, with_sizes):
    data = write(tmp_path, MASKS)
    if not with_sizes:
        (tmp_path / "image_sizes.txt").unlink()
    sizes = [(500, 375), (20, 30), (9, 8)] if with_sizes else [None] * 3
    assert read_metadata(data) == [
        Record("a/1.jpg", 0, (), sizes[0], ("a/1_m0.png", "a/1_m1.png"), "a/1_ignore.png"),
        Record("b, c/2.jpg", 1, (), sizes[1], ("b/2_m.png",), None),
        Record("a/3.jpg", 2, (), sizes[2], ("a/3_m.png", "a/3_n.png"), "a/3_ignore.png"),
    ]


def test_without_boxes_ids_and_labels_are_enough(tmp_path):
    data = write(tmp_path, {name: BOXES[name] for name in ("image_ids.txt", "class_labels.txt")})
    records = read_metadata(data, with_boxes=False)
    assert [record[:3] for record in records] == [
        ("a/1.jpg", 0, ()), ("b, c/2.jpg", 1, ()), ("a/3.jpg", 2, ()),
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"localization\.txt: no such file; expected image_ids"):
        read_metadata(data)


def test_image_without_a_line_is_told_of(tmp_path, caplog):
    data = write(tmp_path, dict(BOXES, **{"localization.txt": "a/1.jpg,1,2,3,4\n"}))
    with caplog.at_level(logging.WARNING):
        assert [len(record.boxes) for record in read_metadata(data)] == [1, 0, 0]
    assert "no line for 2 of the 3 ids" in caplog.text and "'b, c/2.jpg'" in caplog.text


@pytest.mark.parametrize("name", sorted(BOXES))
def test_missing_file(tmp_path, name):
    data = write(tmp_path, BOXES)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.") + ": no such file; expected"):
        read_metadata(data)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("image_ids.txt", "a.jpg\nb.jpg\na.jpg\n", r"ids\.txt:3: 'a.jpg' a second time, as on line 1"),
        ("image_ids.txt", "a.jpg\n./a.jpg\n", r"ids\.txt:2: './a.jpg' a second time"),
        ("image_ids.txt", "a.jpg\n../b.jpg\n", r"ids\.txt:2: path '../b.jpg' leads out"),
        ("image_ids.txt", "/etc/a.jpg\n", r"ids\.txt:1: path '/etc/a.jpg' leads out"),
        ("image_ids.txt", "\n", r"ids\.txt: the file is empty; expected an id"),
        ("class_labels.txt", "a/1.jpg,0\n", r"labels\.txt: no line for 2 of the 3 ids: 'b, c/2.jpg'"),
        ("class_labels.txt", "a/1.jpg,0\na/1.jpg,0\n", r"labels\.txt:2: 'a/1.jpg' a second time"),
        ("class_labels.txt", "a/1.jpg,cat\n", r"labels\.txt:1: label 'cat'; expected a whole"),
        ("class_labels.txt", "a/1.jpg,-1\n", r"labels\.txt:1: label '-1'; expected a whole"),
        ("class_labels.txt", "a/1.jpg,9\n", r"labels\.txt:1: class 9 is out of range"),
        ("class_labels.txt", "z.jpg,0\n", r"labels\.txt:1: 'z.jpg' is not in image_ids"),
        ("class_labels.txt", "a/1.jpg\n", r"labels\.txt:1: 'a/1.jpg'; expected 'id,label'"),
        ("image_sizes.txt", "a/1.jpg,5,5\n", r"sizes\.txt: no line for 2 of the 3 ids"),
        ("image_sizes.txt", "a/1.jpg,5,5\na/1.jpg,5,6\n", r"sizes\.txt:2: 'a/1.jpg' a second time"),
        ("image_sizes.txt", "a/1.jpg,5,0\n", r"sizes\.txt:1: size '5,0'; expected whole numbers"),
        ("image_sizes.txt", "a/1.jpg,5,x\n", r"sizes\.txt:1: size '5,x'; expected whole numbers"),
        ("image_sizes.txt", "a/1.jpg,5\n", r"sizes\.txt:1: .*expected 'id,width,height'"),
        ("image_sizes.txt", "z.jpg,5,5\n", r"sizes\.txt:1: 'z.jpg' is not in image_ids"),
        ("localization.txt", "\n", r"tion\.txt: the file is empty; expected lines 'id,x0"),
        ("localization.txt", "z.jpg,1,2,3,4\n", r"tion\.txt:1: 'z.jpg' is not in image_ids"),
        ("localization.txt", "z.jpg,m.png,\n", r"tion\.txt:1: 'z.jpg' is not in image_ids"),
        ("localization.txt", "a/1.jpg,1,2,3\n", r"tion\.txt:1: .* is not in image_ids.*expected 'id,x0"),
        ("localization.txt", "a/1.jpg,1\n", r"tion\.txt:1: .*expected 'id,x0,y0,x1,y1' or 'id,mask"),
        ("localization.txt", "a/1.jpg,1,2,x,4\n", r"tion\.txt:1: '1,2,x,4'; expected four numbers"),
        ("localization.txt", "a/1.jpg,1,2,nan,4\n", r"tion\.txt:1: box .*expected finite"),
        ("localization.txt", "a/1.jpg,3,2,1,4\n", r"tion\.txt:1: box 3 2 1 4; expected finite x0 <="),
        ("localization.txt", "a/1.jpg,1,2,3,4\na/3.jpg,m.png,\n", r"tion\.txt:2: boxes and masks"),
        ("localization.txt", "a/1.jpg,,i.png\n", r"tion\.txt:1: no mask; expected"),
        ("localization.txt", "a/1.jpg,../m.png,\n", r"tion\.txt:1: path '../m.png' leads out"),
        ("localization.txt", "a/1.jpg,m.png,/i.png\n", r"tion\.txt:1: path '/i.png' leads out"),
        ("localization.txt", "a/1.jpg,m,i\na/1.jpg,n,j\n", r"tion\.txt:2: 'a/1.jpg' is ignored by 'i'"),
    ],
)  # fmt: skip
def test_bad_line(tmp_path, name, text, message):
    data = write(tmp_path, dict(BOXES, **{name: text}))
    with pytest.raises(UserError, match=message) as caught:
        read_metadata(data, classes=5)
    assert "\n" not in str(caught.value)
