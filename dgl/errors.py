"""Bad input: `UserError`, how a script ends on it, and text that is safe to print on a terminal.

The one exception that stands for bad input, and how a script ends on it.
"""

import itertools
import os
import select
import signal
import sys
from typing import Any, Callable, Iterable, List, Optional

# Characters of a path that a message repeats.
_LONGEST = 400


class UserError(Exception):
    """Bad input from outside: a file, a flag or a label that is not what it should be.

    The message is one line that names the file or the flag and says what was expected. Names come from
    outside too: what a terminal would obey in them is escaped.
    """

    def __init__(self, message: object = ""):
        super().__init__(printable(str(message)))


class Stopped(Exception):
    """Work that was asked to end, and ended in order; what it had done is kept.

    Attributes:
        exit_code: int, of the process; 128 + N for signal N.
    """

    def __init__(self, message: object, exit_code: int):
        super().__init__(printable(str(message)))
        self.exit_code = exit_code


def run_script(main: Callable[[Any], Any], argv: Optional[List[str]] = None) -> None:
    """Call ``main(argv)`` and end the process as a command line should.

    Args:
        main: callable taking the argument list (``None``: ``sys.argv[1:]``), returning an exit code
            or ``None``.
        argv: list of str or ``None``.

    Raises:
        SystemExit: 0 on success, 1 with one line on standard error for :class:`UserError`, 130 on
            Ctrl-C, 128 + N where signal N ended the work in order (:class:`Stopped`); 141 where nobody
            reads standard output any more, as behind ``| head``.
    """
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
        # Pipes to worker processes break too, which is another matter.
        if not _output_is_gone():
            raise
        code = 128 + signal.SIGPIPE
    sys.exit(code or 0)


def _output_is_gone():
    """Whether nobody reads standard output any more; what is left for it is dropped then."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):
        return False  # no file: of a test, or closed
    poll = select.poll()
    poll.register(output, select.POLLOUT)
    is_gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if is_gone:
        # The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return is_gone


# Text from outside (names of files, of classes) as it may be shown on a terminal.


def printable(text: str) -> str:
    """One line without anything that a terminal obeys.

    Args:
        text: str, possibly with the surrogates that stand for bytes of a file name which are no UTF-8.

    Returns:
        str: line ends are spaces; control characters, marks that turn the direction of writing, and
        surrogates are escaped as Python writes them (``\\x1b``).
    """
    text = " ".join(text.splitlines())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def quote(text: str, limit: int = 80) -> str:
    """``text`` in quotes for a message: control characters escaped, long text shortened."""
    text = str(text)
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def first_few(items: Iterable[str], limit: int = 5) -> str:
    """The first ``limit`` of some strings for a message, with ``", ..."`` where there are more.

    Of a string longer than any path of use the beginning and the end are given; one that cannot be
    printed is escaped.
    """
    found = [
        item if len(item) <= _LONGEST else item[: _LONGEST // 2] + "..." + item[-_LONGEST // 2 :]
        for item in itertools.islice(items, limit + 1)
    ]
    return ", ".join(map(printable, found[:limit])) + (", ..." if len(found) > limit else "")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, its kind if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
