#!/usr/bin/env python
"""Compare all methods, layers and values of alpha, with thresholds from another split."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.cli.evaluate import make_study_parser, run
from dgl.errors import run_script


def main(argv=None):
    """Parse the flags and run."""
    return run(make_study_parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    run_script(main)
