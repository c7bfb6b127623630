"""`UserError` for bad input, the exit codes of commands, and text that is safe to print on a terminal."""

import atexit
import gc
import itertools
import os
import select
import signal
import sys
from typing import Any, Callable, Iterable, List, Optional

_MOST_CHARACTERS = 400  # of one item in a message


class UserError(Exception):
    """Bad input from outside: a file, a flag or a label that is not as expected.

    The message is one line that names the file or the flag and says what was expected. Control characters
    in it, which names of files may contain, are escaped.
    """

    def __init__(self, message: object = ""):
        super().__init__(printable(str(message)))


class ArgumentError(UserError, ValueError):
    """A bad argument of a Python call: a :class:`UserError` that is a ``ValueError`` too."""


class Stopped(Exception):
    """Inputs that ended early on request, with its results so far saved."""

    def __init__(self, message: object, exit_code: int):
        super().__init__(printable(str(message)))
        self.exit_code = exit_code  # of the process; 128 + N for signal N


_is_script = False


def is_script() -> bool:
    """Whether this process is a command of this project, not a program that imports it."""
    return _is_script


def run_script(main: Callable[[Any], Any], argv: Optional[List[str]] = None) -> None:
    """Call ``main(argv)`` and exit the process with its exit code.

    Args:
        main: takes the argument list (``None``: ``sys.argv[1:]``), returns an exit code or ``None``.
        argv: list of str or ``None``.

    Raises:
        SystemExit: 0 on success, 1 with one line on standard error for :class:`UserError`, 130 on
            Ctrl-C, the exit code of :class:`Stopped`, 141 when standard output is a closed pipe, as
            with ``| head``.
    """
    global _is_script
    _is_script = True
    # Objects that are left when the process ends are not searched for garbage once more: with TensorFlow
    # that takes half a second.
    atexit.register(gc.freeze)
    try:
        code = main(argv)
        sys.stdout.flush()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        code = 1
    except Stopped as stopped:
        sys.stderr.write(f"{stopped}\n")
        code = stopped.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = 130
    except BrokenPipeError:
        # It may also be a pipe to a worker process, which is a real error.
        if not _stdout_is_closed_pipe():
            raise
        code = 128 + signal.SIGPIPE
    sys.exit(code or 0)


def _stdout_is_closed_pipe() -> bool:
    """Whether nobody reads standard output any more; if so, the rest of the output is discarded."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):
        return False  # closed, or replaced by an object without a file
    poll = select.poll()
    poll.register(output, select.POLLOUT)
    is_closed = any(event & select.POLLERR for _, event in poll.poll(0))
    if is_closed:
        # The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return is_closed


def printable(text: str) -> str:
    r"""Text from outside as one line that is safe to print on a terminal.

    Line ends become spaces; control characters, marks that change the direction of writing, and
    surrogates, which stand for bytes of a file name that are not UTF-8, are escaped as Python writes them
    (``\x1b``).
    """
    text = " ".join(text.splitlines())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def quote(text: str, limit: int = 80) -> str:
    """``text`` in quotes for a message: control characters escaped, long text shortened."""
    text = str(text)
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def reason_of(error: BaseException, limit: int = 200) -> str:
    """The first line of an exception's message in quotes, as :func:`quote` gives it."""
    return quote(first_line(error), limit)


def first_few(items: Iterable[str], limit: int = 5) -> str:
    """The first ``limit`` of some strings for a message, followed by ``", ..."`` if there are more.

    Overlong strings are shortened in the middle; control characters are escaped.
    """
    found = [
        item
        if len(item) <= _MOST_CHARACTERS
        else item[: _MOST_CHARACTERS // 2] + "..." + item[-_MOST_CHARACTERS // 2 :]
        for item in itertools.islice(items, limit + 1)
    ]
    return ", ".join(map(printable, found[:limit])) + (", ..." if len(found) > limit else "")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type without a message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
