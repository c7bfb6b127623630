#!/usr/bin/env python
"""See where a classifier looks: the DGL map, the CAM and the box of an image, or of a folder of them."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.cli.localize_run import make_parser, run
from dgl.errors import run_script


def main(argv=None):
    return run(make_parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    run_script(main)
