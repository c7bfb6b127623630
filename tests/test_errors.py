"""How a script ends, and how its messages are made printable."""

import os
import sys

import pytest

from dgl.errors import Stopped, UserError, printable, run_script


@pytest.mark.parametrize("returned, code", [(None, 0), (0, 0), (3, 3)])
def test_the_exit_code_is_what_main_returns(returned, code, capsys):
    with pytest.raises(SystemExit) as caught:
        run_script(lambda argv: returned, [])
    assert caught.value.code == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("argv", [None, ["--flag", "1"]])
def test_main_gets_the_argument_list(argv):
    given = []
    with pytest.raises(SystemExit):
        run_script(given.append, argv)
    assert given == [argv]


def test_bad_input_is_one_line_on_standard_error(capsys):
    def main(argv):
        raise UserError("a.txt:3: class 7\nis out of range")

    with pytest.raises(SystemExit) as caught:
        run_script(main, [])
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: a.txt:3: class 7 is out of range\n")
    assert caught.value.code == 1


def test_interrupt(capsys):
    def main(argv):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_script(main, [])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_not_hidden():
    def main(argv):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_script(main, [])


def test_argparse_s_own_exit_passes():
    with pytest.raises(SystemExit) as caught:
        run_script(lambda argv: sys.exit(2), [])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "message, shown",
    [
        ("a.jpg: no image", "a.jpg: no image"),
        ("a\nb\r\nc", "a b c"),
        ("\x1b[31mred\x07.jpg", "\\x1b[31mred\\x07.jpg"),
        ("caf\xe9 \u732b.jpg", "caf\xe9 \u732b.jpg"),
        ("\udcff.jpg", "\\udcff.jpg"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_a_message_is_one_printable_line(message, shown, capsys):
    def fail(_):
        raise UserError(message)

    with pytest.raises(SystemExit) as caught:
        run_script(fail)
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"error: {shown}\n"


@pytest.mark.parametrize("code", [130, 143])
def test_work_that_was_asked_to_end(code, capsys):
    def stop(_):
        raise Stopped("stopped by a signal", code)

    with pytest.raises(SystemExit) as caught:
        run_script(stop)
    assert caught.value.code == code
    assert capsys.readouterr().err == "stopped by a signal\n"


@pytest.mark.parametrize("text", ["", "plain.jpg", "été 鳥 Ω", "back\\slash", "a  b", "'\""])
def test_readable_text_is_unchanged(text):
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
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode("utf-8")
