"""What a subcommand says: lines for people, or JSON on standard output and nothing else there."""

import contextlib
import json
import sys
from typing import Any, Callable, Iterator


def add_json_flag(parser: Any, what: str) -> None:
    """Give a parser ``--json``; ``what`` is what it then writes."""
    parser.add_argument(
        "--json", action="store_true", help=f"write {what} as JSON on standard output"
    )


@contextlib.contextmanager
def answers(as_json: bool) -> Iterator[Callable[[str], None]]:
    """Gives what writes a text on standard output, in the course of a ``with``.

    With ``as_json``, whatever is printed otherwise goes to standard error meanwhile, so that a program
    can read standard output as it is.
    """
    stream = sys.stdout

    def answer(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    with contextlib.ExitStack() as stack:
        if as_json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield answer


def document(value: Any) -> str:
    """A JSON value as text of several lines, in ASCII: no terminal obeys what is in it."""
    return json.dumps(value, indent=1)


def line(value: Any) -> str:
    """A JSON value as one line, in ASCII."""
    return json.dumps(value)
