"""`dgl train`: what the scripts in `train_code/` do, for any backbone."""

import argparse

from dgl.backbones import BACKBONES
from dgl.errors import UserError

NAME = "train"
HELP = "train a classifier from image labels"
EXAMPLES = (
    "dgl train --data data/birds --mode vgg --width 0.25 --norm bn --final-size 112 --batch 32",
    "dgl train --data /data/CUB --cub --mode resnet50se --load resnet50se --base-lr 0.002 --batch 32",
    "dgl train --data ~/pictures --mode vgg --finetune --epoch 30 --logdir mine",
    "dgl train --data ~/pictures --mode vgg --epoch 30 --logdir mine --resume",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of training."""
    from dgl.cli.train_flags import add_flags as add_training_flags

    add_training_flags(parser, modes=tuple(BACKBONES), has_last_stride=True)
    parser.set_defaults(logdir=None)


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    if args.laststride != 1 and not args.mode.startswith("resnet"):
        raise UserError(
            f"--laststride {args.laststride}: expected 1 for {args.mode}; only ResNets have the choice"
        )
    if args.logdir is None:
        args.logdir = args.mode
    from dgl.training.resolve import run as train

    return train(args, args.mode)
