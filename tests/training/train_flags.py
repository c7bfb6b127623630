"""Parse flags of a training script."""

from dgl.cli.train import make_parser

RESNET = {"modes": ("resnet", "se"), "depths": (50, 101, 152)}
PUBLISHED = (
    "gpu data logdir epoch dataname steps final-size chlast cub imagenet classnum batch base-lr stepscale "
    "finetune depth mode laststride val load"
).split()


def parse(*flags, data="DATA", **parser):
    parser = make_parser("Train.", **(parser or {"modes": ("vgg",)}))
    return parser.parse_args(["--data", str(data)] + [str(flag) for flag in flags])
