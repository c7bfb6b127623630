#!/usr/bin/env python
"""Train a ResNet or a ResNet with squeeze-excite (`--mode se`) from image labels."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dgl.cli.train import make_parser
from dgl.errors import run_script


def main(argv=None):
    """Parse the flags and train."""
    parser = make_parser(__doc__.splitlines()[0], modes=("resnet", "se"), depths=(50, 101, 152))
    args = parser.parse_args(argv)
    from dgl.training.resolve import run  # loads TensorFlow; --help and bad flags need not wait

    return run(args, f"resnet{args.depth}{'se' if args.mode == 'se' else ''}")


if __name__ == "__main__":
    run_script(main)
