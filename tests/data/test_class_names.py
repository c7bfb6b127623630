"""Lists of class names."""

import pytest

from dgl.data.label_list import read_class_names
from dgl.errors import UserError


@pytest.mark.parametrize(
    "text, names",
    [
        ("cat\n\nred fox\n", ("cat", "red fox")),
        ("1 dog\n0 red fox\n", ("red fox", "dog")),
        ("1 001.Albatross\n2 002.Auk\n", ("Albatross", "Auk")),
        ("001.Albatross\n002.Auk\n", ("Albatross", "Auk")),
        ("1.5 litres\n2.5 litres\n", ("1.5 litres", "2.5 litres")),
    ],
)
def test_read_class_names(tmp_path, text, names):
    (tmp_path / "classes.txt").write_text(text)
    assert read_class_names(str(tmp_path / "classes.txt")) == names


@pytest.mark.parametrize("text", ["", "0 a\n2 b\n", "1 a\n1 b\n", "2 a\n3 b\n"])
def test_bad_class_names(tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=r"classes\.txt: .*expected"):
        read_class_names(str(tmp_path / "classes.txt"))


@pytest.mark.parametrize("text", ["1 001.Albatross\n2 002.Auk\n", "001.Albatross\n002.Auk\n"])
def test_class_names_with_their_numbers(tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    names = read_class_names(str(tmp_path / "classes.txt"), with_numbers=True)
    assert names == ("001.Albatross", "002.Auk")
