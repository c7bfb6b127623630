"""``python -m dgl.datasets.birds``, which is ``dgl make-data birds``."""

import argparse
from typing import List, NoReturn, Optional

from dgl.cli.make_data import add_birds_flags, run_birds
from dgl.errors import UserError, run_script


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def main(argv: Optional[List[str]] = None) -> int:
    """Parse flags and write the data set or the samples; returns the exit code."""
    parser = _Parser(
        prog="python -m dgl.datasets.birds",
        description="Render a data set of drawn birds for weakly supervised localization.",
    )
    add_birds_flags(parser)
    return run_birds(parser.parse_args(argv))


if __name__ == "__main__":
    run_script(main)
