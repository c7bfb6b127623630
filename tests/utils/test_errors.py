"""Exit codes of commands, and text that is safe to print."""

import os

import pytest

from dgl.errors import Stopped, UserError, printable, run_script


@pytest.mark.parametrize(
    "result, code, err",
    [
        (None, 0, ""),
        (3, 3, ""),
        (UserError("a:3: class 7\nis out"), 1, "error: a:3: class 7 is out\n"),
        (UserError("\x1b[31mred\x07.jpg"), 1, "error: \\x1b[31mred\\x07.jpg\n"),
        (Stopped("stopped by a signal", 143), 143, "stopped by a signal\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (SystemExit(2), 2, ""),  # argparse's own
        (ZeroDivisionError(), None, ""),  # a bug is not hidden
    ],
)
def test_exit_code_and_standard_error(result, code, err, capsys):
    def main(argv):
        assert argv == ["--flag"]
        if isinstance(result, BaseException):
            raise result
        return result

    with pytest.raises(ZeroDivisionError if code is None else SystemExit) as caught:
        run_script(main, ["--flag"])
    assert getattr(caught.value, "code", None) == code
    assert capsys.readouterr() == ("", err)


@pytest.mark.parametrize(
    "text, shown",
    [
        *((text, text) for text in ("", "plain.jpg", "été 鳥 Ω", "back\\slash", "a  b", "'\"")),
        ("a\x1b]0;x\x07b", "a\\x1b]0;x\\x07b"),
        ("\x9b2J", "\\x9b2J"),
        ("a\tb\x00", "a\\tb\\x00"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        (os.fsdecode(b"\xff.jpg"), "\\udcff.jpg"),
        ("two\nlines", "two lines"),
        ("two\r\nlines\u2028and", "two lines and"),
    ],
)
def test_readable_text_is_unchanged_and_control_characters_are_escaped(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode("utf-8")
