#!/usr/bin/env python
"""Compare every method at every layer, settle thresholds on another split, and study alpha: one report."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.cli.evaluate_flags import make_study_parser
from dgl.cli.evaluate_run import run
from dgl.errors import run_script


def main(argv=None):
    return run(make_study_parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    run_script(main)
