"""`dgl train` and the scripts in `train_code/`: train a classifier from image labels."""

import argparse
from typing import Sequence, Tuple

from dgl.backbones import BACKBONES, DEFAULT_MODE
from dgl.backbones.published import OWN_STRIDES
from dgl.cli import flags
from dgl.cli.flags import count, number, seed
from dgl.errors import UserError
from dgl.training.recipe import LR_EPOCHS


def _epochs(text: str) -> Tuple[int, ...]:
    try:
        epochs = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError("expected epochs like 10,20,30") from None
    if list(epochs) != sorted(set(epochs)) or (epochs and epochs[0] < 1):
        raise argparse.ArgumentTypeError("expected increasing epochs like 10,20,30")
    return epochs


_positive = number(float, 5e-324, name="positive number")  # the smallest float above 0


def make_parser(
    description: str, modes: Sequence[str], depths: Sequence[int] = ()
) -> argparse.ArgumentParser:
    """The parser of a script in `train_code/`.

    ``modes`` and, for ResNets, ``depths`` are the values of these flags, of which the first is the default.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=flags.HelpFormatter)
    add_flags(parser, modes, depths, bool(depths))
    return parser


def _add_command_flags(parser: argparse.ArgumentParser) -> None:
    modes = tuple(BACKBONES)
    add_flags(parser, modes, (), True, f"backbone (default: that of --load, else {DEFAULT_MODE})")
    parser.set_defaults(logdir=None, mode=None)


def add_flags(
    parser: argparse.ArgumentParser,
    modes: Sequence[str],
    depths: Sequence[int],
    has_last_stride: bool,
    mode_help: str = "backbone",
) -> None:
    """Add the flags of training; ``modes`` and ``depths`` as in :func:`make_parser`."""
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add("--data", required=True, help="folder of the data set")
    add("--mode", choices=modes, default=modes[0], help=mode_help)
    add("--load", help="initial weights: a published name or a path")
    add("--logdir", default=modes[0], help="folder in train_log/ to write to")
    add("--epoch", type=count, default=105, help="last epoch")

    flags.add_data(groups["input"])
    add = groups["input"].add_argument
    preset = groups["input"].add_mutually_exclusive_group()
    for name, text in (("cub", "CUB-200-2011: 200 classes"), ("imagenet", "ILSVRC: 1000 classes")):
        preset.add_argument(
            f"--{name}",
            dest="data_set",
            action="store_const",
            const=name,
            help="settings of " + text,
        )
    add("--classnum", type=count, help="number of classes, if not that of the settings")
    add("--final-size", type=count, help="side of the input in pixels (default: the backbone's)")

    add = groups["model"].add_argument
    add(
        "--depth", type=int, choices=depths or None, default=depths[0] if depths else None,
        help="layers of the ResNet" if depths else argparse.SUPPRESS,
    )  # fmt: skip
    add(
        "--laststride", type=int, choices=(1, 2) if has_last_stride else (1,), default=1,
        help="stride of a ResNet's last group",
    )  # fmt: skip
    add(
        "--strides",
        choices=BACKBONES["resnet50"].strides if has_last_stride else (OWN_STRIDES,),
        help="a ResNet's strides: the paper's, those of its published ImageNet weights (in a block's 3 x 3 "
        "or first 1 x 1 convolution), or dilation instead (default: dgl; with --probe that of --load)",
    )
    add("--width", type=_positive, help="channel multiplier (default: that of --load, or 1)")
    add("--norm", choices=("none", "bn"), help="VGG's normalization (default: that of --load)")

    add = groups["training"].add_argument
    add(
        "--finetune", action="store_true", help="start from ImageNet weights unless --load is given"
    )
    add(
        "--probe", action="store_true",
        help="fit the last layer alone, by logistic regression on features computed once; of the flags "
        "of training only --seed counts, for the random crops and the folds that choose the regularization",
    )  # fmt: skip
    add(
        "--freeze", metavar="LAYER",
        help="train only what lies above this layer (index or name), on its cached activations",
    )  # fmt: skip
    add(
        "--freeze-views", type=count, default=2, metavar="N",
        help="random views of each training image that --freeze caches",
    )  # fmt: skip
    add("--resume", action="store_true", help="continue an interrupted run")
    add("--val", action="store_true", help="validate --load instead of training")
    add("--batch", type=count, default=256, help="images per step, over all GPUs")
    add("--base-lr", type=_positive, default=0.01, help="initial learning rate")
    add(
        "--lr-epochs", type=_epochs, default=",".join(map(str, LR_EPOCHS)),
        help="epochs after which the learning rate is divided by 10",
    )  # fmt: skip
    add("--weight-decay", type=number(float, 0), help="L2 penalty (default: VGG 5e-4, others 0)")
    add("--steps", type=count, help="steps per epoch, instead of the formula")
    add("--stepscale", type=_positive, help="scale of the steps per epoch (CUB 5, ILSVRC 0.2)")
    add("--seed", type=seed, help="seed of initial values, order and augmentation")

    add = groups["map"].add_argument
    add(
        "--watch", type=number(int, 0), default=8, metavar="N",
        help="validation images whose DGL maps TensorBoard shows each epoch; 0 for none",
    )  # fmt: skip
    add(
        "--watch-layer", nargs="+", default=["1"], metavar="LAYER",
        help="their layers: indices, names, ranges (1-4); the first is measured",
    )  # fmt: skip
    add(
        "--watch-boxes", type=number(int, 0), metavar="N",
        help="images for GT-known each epoch (default: 200, at most a tenth of an epoch's images, "
        "at least 20; 0 with --watch 0)",
    )  # fmt: skip

    add = groups["output"].add_argument
    add("--save-minutes", type=_positive, help="also save the state at this interval")
    add("--print-recipe", action="store_true", help="print all settings instead of training")

    add = groups["speed"].add_argument
    add("--gpu", help="indices of the GPUs to use, like 0 or 0,1 (default: all); -1 uses the CPU")
    add("--towers", type=count, help="copies of the network per step (default: one per GPU)")
    add("--workers", type=int, help="decoding processes (default: one per core)")
    add("--chlast", action="store_true", help="use channels-last data on GPUs too")


def _run(args: argparse.Namespace) -> int:
    if args.mode is None:
        from dgl.weights.identify import default_weights

        args.mode, _ = default_weights(None, args.load)
    if args.laststride != 1 and not args.mode.startswith("resnet"):
        raise UserError(
            f"--laststride {args.laststride}: expected 1 for {args.mode}; only ResNets have the choice"
        )
    if args.logdir is None:
        args.logdir = args.mode
    from dgl.training.resolve import run as train  # TensorFlow takes seconds to load

    return train(args, args.mode)


TRAIN = flags.Command(
    name="train",
    help="train a classifier from image labels",
    examples=(
        "dgl train --probe --data my_images --logdir mine",
        "dgl train --data data/birds --mode vgg --width 0.25 --norm bn --final-size 112 --batch 32",
        "dgl train --data /data/CUB --cub --mode resnet50se --load resnet50se --base-lr 0.002 --batch 32",
        "dgl train --data my_images --mode vgg --finetune --epoch 30 --logdir my_vgg",
        "dgl train --data my_images --mode vgg --finetune --epoch 30 --logdir my_vgg --resume",
    ),
    add_flags=_add_command_flags,
    run=_run,
)
