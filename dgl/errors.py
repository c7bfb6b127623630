"""The one exception that stands for bad input, and how a script ends on it."""

import sys


class UserError(Exception):
    """Bad input from outside: a file, a flag or a label that is not what it should be.

    The message is one line that names the file or the flag and says what was expected.
    """


def run_script(main, argv=None):
    """Call ``main(argv)`` and end the process as a command line should.

    Args:
        main: callable taking the argument list (``None``: ``sys.argv[1:]``), returning an exit code
            or ``None``.
        argv: list of str or ``None``.

    Raises:
        SystemExit: 0 on success, 1 with one line on standard error for :class:`UserError`,
            130 on Ctrl-C.
    """
    try:
        code = main(argv)
    except UserError as error:
        message = " ".join(str(error).split("\n"))
        sys.stderr.write("error: {}\n".format(message))
        code = 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code or 0)
