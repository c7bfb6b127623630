"""Lines, numbers, boxes, paths and class names of the text files that loaders read."""

import pytest
from refusals import check_refusal, refusal

from dgl.data.class_names import read_class_names
from dgl.data.text_files import BadLines, read_lines, resolve_below


@pytest.mark.parametrize("relative, path, identity", [
    ("a/b.jpg", "/data/images/a/b.jpg", "a/b.jpg"), ("a/../b.jpg", "/data/images/b.jpg", "b.jpg"),
    ("./a//b.jpg", "/data/images/a/b.jpg", "a/b.jpg"), ("../val/b.jpg", "/data/val/b.jpg", "val/b.jpg"),
    ("a/b..c.jpg", "/data/images/a/b..c.jpg", "a/b..c.jpg"),
    ("..b.jpg", "/data/images/..b.jpg", "..b.jpg"),
])  # fmt: skip
def test_resolve_below(relative, path, identity):
    assert resolve_below("/data", "images", relative, "l:1") == (path, identity)


def write(tmp_path, data):
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("text", ["", "0 a\n2 b\n", "1 a\n1 b\n", "2 a\n3 b\n"])
def test_class_names(tmp_path, text):
    path = tmp_path / "classes.txt"
    path.write_text("1.5 litres\n2.5 litres\n")
    assert read_class_names(str(path)) == ("1.5 litres", "2.5 litres")
    path.write_text(text)
    check_refusal(r"classes\.txt: .*expected", read_class_names, str(path))


def test_lines_that_are_no_text_are_left_out(tmp_path, caplog):
    """The lines behind one that is too long or of another encoding keep their numbers."""
    long = b"x" * 70
    path = write(tmp_path, b"a\n" + long + long + b"\n\xe2\x80\xa8 b\nM\xfcsli\n\0\n \t\nc\n")
    bad = BadLines()
    assert list(read_lines(path, 64, bad)) == [(1, "a"), (3, "\u2028 b"), (7, "c")]
    assert [reason.split(":")[1] for reason in bad.reasons] == ["2", "4", "5"]
    assert ":2: line longer than 64 bytes" in refusal(bad.check, path, 296)
    assert not caplog.records
    bad.check(path, 297)
    assert "list.txt: 3 of 300 entries left out; the first: " in caplog.text
