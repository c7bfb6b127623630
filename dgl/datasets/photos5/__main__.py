"""``python -m dgl.datasets.photos5``, which is ``dgl make-data photos5``."""

import argparse
from typing import List, Optional

from dgl.cli.make_data import add_photos5_flags, run_photos5
from dgl.errors import run_script


def main(argv: Optional[List[str]] = None) -> int:
    """Parse flags, make the data set and print the report; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dgl.datasets.photos5",
        description="Make the data set of photographs from clones of three GitHub repositories.",
    )
    add_photos5_flags(parser)
    return run_photos5(parser.parse_args(argv))


if __name__ == "__main__":
    run_script(main)
