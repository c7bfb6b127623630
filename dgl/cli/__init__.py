"""The `dgl` command: one module per command, used by the published scripts as well.

Help and bad flags load neither TensorFlow nor tensorpack: a command imports them when it runs.
"""

from typing import List, Optional

from dgl.errors import run_script


def entry(argv: Optional[List[str]] = None) -> None:
    """Run the command and exit, see :func:`dgl.errors.run_script`."""
    from dgl.cli.parser import main

    run_script(main, argv)
