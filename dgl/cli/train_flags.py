"""The flags of the training scripts: the published ones, and ours."""

import argparse
from typing import Optional, Sequence

from dgl.data.layouts import layout_names
from dgl.training.recipe import LR_EPOCHS


def _epochs(text):
    try:
        epochs = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError("expected epochs like 10,20,30") from None
    if list(epochs) != sorted(set(epochs)) or (epochs and epochs[0] < 1):
        raise argparse.ArgumentTypeError("expected increasing epochs like 10,20,30")
    return epochs


def _positive(kind):
    def parse(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError(text)
        return value

    parse.__name__ = "positive {}".format("number" if kind is float else "whole number")
    return parse


def _whole(text):
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


_whole.__name__ = "whole number, 0 or more"


def _not_negative(text):
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def _seed(text):
    value = int(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError("expected 0 to 2147483647")
    return value


def make_parser(
    description: str, modes: Sequence[str], depths: Sequence[int] = ()
) -> argparse.ArgumentParser:
    """The parser of a training script.

    Args:
        description: first line of ``--help``.
        modes, depths: see :func:`add_flags`.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add_flags(parser, modes, depths)
    return parser


def add_flags(
    parser: argparse.ArgumentParser,
    modes: Sequence[str],
    depths: Sequence[int] = (),
    has_last_stride: Optional[bool] = None,
) -> None:
    """Give a parser the flags of training.

    Args:
        parser: ``argparse.ArgumentParser``.
        modes: values of ``--mode``; the first is the default.
        depths: values of ``--depth``, for ResNets; the first is the default.
        has_last_stride: whether ``--laststride 2`` can be had; by default where there are depths.
    """
    has_last_stride = bool(depths) if has_last_stride is None else has_last_stride
    count, number = _positive(int), _positive(float)
    published = parser.add_argument_group("published flags")
    published.add_argument("--gpu", help="GPUs to use, like 0 or 0,1 (all; -1: the CPU)")
    published.add_argument("--data", required=True, help="folder of the data set")
    published.add_argument("--logdir", default=modes[0], help="name below train_log/")
    published.add_argument("--epoch", type=count, default=105, help="last epoch")
    published.add_argument("--dataname", help="list folder below DATA/labels (the only one)")
    published.add_argument("--steps", type=count, help="steps an epoch, instead of the formula")
    published.add_argument("--final-size", type=count, default=224, help="side of the input")
    published.add_argument("--chlast", action="store_true", help="channels last on GPUs too")
    which = published.add_mutually_exclusive_group()
    which.add_argument("--cub", action="store_true", help="data as CUB: 200 classes")
    which.add_argument("--imagenet", action="store_true", help="data as ILSVRC: 1000 classes")
    published.add_argument("--classnum", type=count, help="number of classes; wins over the above")
    published.add_argument("--batch", type=count, default=256, help="images a step, all GPUs")
    published.add_argument("--base-lr", type=number, default=0.01, help="initial learning rate")
    published.add_argument("--stepscale", type=number, help="scales an epoch (CUB 5, ILSVRC 0.2)")
    published.add_argument(
        "--finetune", action="store_true", help="start from ImageNet weights unless --load is given"
    )
    published.add_argument(
        "--depth", type=int, choices=depths or None, default=depths[0] if depths else None,
        help="layers of the ResNet" if depths else argparse.SUPPRESS,
    )  # fmt: skip
    published.add_argument("--mode", choices=modes, default=modes[0], help="network")
    published.add_argument(
        "--laststride", type=int, choices=(1, 2) if has_last_stride else (1,), default=1,
        help="stride of the last group (ResNets)",
    )  # fmt: skip
    published.add_argument(
        "--val", action="store_true", help="measure --load on the validation split, do not train"
    )
    published.add_argument("--load", help="weights: a name (ImageNet weights) or a path")
    ours = parser.add_argument_group("beyond the published flags")
    ours.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    ours.add_argument(
        "--save-minutes", type=number, help="keep the state this often, beside every epoch's end"
    )
    ours.add_argument(
        "--print-recipe", action="store_true", help="print all that a run would do, do not train"
    )
    ours.add_argument("--data-format", choices=layout_names(), help="layout of --data (recognized)")
    ours.add_argument("--width", type=number, help="channel multiplier (1, or that of --load)")
    ours.add_argument(
        "--norm", choices=("none", "bn"), help="BatchNorm in VGG (none, or of --load)"
    )
    ours.add_argument(
        "--lr-epochs", type=_epochs, default=",".join(map(str, LR_EPOCHS)),
        help="learning rate x 0.1 after these epochs",
    )  # fmt: skip
    ours.add_argument(
        "--weight-decay", type=_not_negative, help="L2 scale on weights (VGG 5e-4, others none)"
    )
    ours.add_argument("--towers", type=count, help="copies of the network a step (one a GPU)")
    ours.add_argument("--workers", type=int, help="processes that decode (one a core)")
    ours.add_argument("--seed", type=_seed, help="fixes initial values, order and augmentation")
    watch = parser.add_argument_group("what is watched in TensorBoard, every epoch")
    watch.add_argument(
        "--watch", type=_whole, default=8, metavar="N",
        help="validation images whose DGL maps are drawn; 0 for none",
    )  # fmt: skip
    watch.add_argument(
        "--watch-layer", nargs="+", default=["1"], metavar="LAYER",
        help="layers of these maps: indices, names, ranges (1-4); GT-known is of the first",
    )  # fmt: skip
    watch.add_argument(
        "--watch-boxes", type=_whole, metavar="N",
        help="images with boxes that GT-known is measured on (200, but no more than a tenth of an "
        "epoch's, at least 20; none with --watch 0)",
    )  # fmt: skip
