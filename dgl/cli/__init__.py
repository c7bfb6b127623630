"""The `dgl` command: one front door to what the published scripts and the modules' command lines do.

Every subcommand is a module with ``NAME``, ``HELP``, ``EXAMPLES``, ``add_flags(parser)`` and
``run(args) -> exit code``. Help and bad flags load no TensorFlow: that comes with ``run``.
"""

from typing import List, Optional

from dgl.errors import run_script


def entry(argv: Optional[List[str]] = None) -> None:
    """Run the command and end the process as a command line should, see :func:`dgl.errors.run_script`."""
    from dgl.cli.parser import main

    run_script(main, argv)
