"""Flags of a training script, parsed."""

from dgl.cli.train_flags import make_parser

RESNET = {"modes": ("resnet", "se"), "depths": (50, 101, 152)}


def parse(*flags, **parser):
    parser = make_parser("Train.", **(parser or {"modes": ("vgg",)}))
    return parser.parse_args(["--data", "DATA"] + [str(flag) for flag in flags])
