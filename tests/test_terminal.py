"""What a terminal would obey is shown, and what people read stays as it is."""

import os

import pytest

from dgl.errors import printable


@pytest.mark.parametrize("text", ["", "plain.jpg", "été 鳥 Ω", "back\\slash", "a  b", "'\""])
def test_what_people_read_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a\x1b]0;x\x07b", "a\\x1b]0;x\\x07b"),
        ("\x9b2J", "\\x9b2J"),
        ("a\tb\x00", "a\\tb\\x00"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        (os.fsdecode(b"\xff.jpg"), "\\udcff.jpg"),
        ("two\nlines", "two lines"),
        ("two\r\nlines\u2028and", "two lines and"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode("utf-8")
