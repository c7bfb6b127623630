#!/usr/bin/env python
"""Train VGG16-GAP from image labels."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.cli.train import make_parser
from dgl.errors import run_script


def main(argv=None):
    """Parse the flags and train."""
    args = make_parser(__doc__.splitlines()[0], modes=("vgg",)).parse_args(argv)
    from dgl.training.resolve import run  # loads TensorFlow; --help and bad flags need not wait

    return run(args, args.mode)


if __name__ == "__main__":
    run_script(main)
