#!/usr/bin/env python
"""Localize the object in an image or a folder of images: DGL map, CAM and box."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.cli.localize import make_parser, run
from dgl.errors import run_script


def main(argv=None):
    """Parse the flags and run."""
    return run(make_parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    run_script(main)
