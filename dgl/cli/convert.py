"""`dgl convert`, and `python -m dgl.weights.convert`: published ImageNet weights for `--load`."""

import argparse

from dgl.cli.output import add_json_flag, answers, document

NAME = "convert"
HELP = "turn ImageNet weights that others publish into a file that --load takes"
EXAMPLES = (
    "dgl convert vgg16-397923af.pth",
    "dgl convert vgg16_weights_tf_dim_ordering_tf_kernels.h5 --out pretrain_model/vgg16.npz --force",
    "dgl convert renamed.pth --published-as resnet50-0676ba61.pth --json",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the conversion."""
    parser.add_argument("file", help="published weights: .npz, .ckpt, .h5, .pth or .safetensors")
    parser.add_argument("--mode", help="backbone, when the file's layers fit none exactly")
    parser.add_argument("--out", help="the .npz to write (pretrain_model/, under --load's name)")
    parser.add_argument(
        "--published-as", metavar="NAME", help="which published file it is, when renamed"
    )
    parser.add_argument(
        "--channels", choices=("rgb", "bgr"), help="order of its input channels (the publisher's)"
    )
    parser.add_argument(
        "--keep-first-layer",
        action="store_true",
        help="do not fold the publisher's preprocessing into the first layer",
    )
    parser.add_argument("--force", action="store_true", help="overwrite --out")
    add_json_flag(parser, "what was done")


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    with answers(args.json) as answer:
        from dgl.weights.convert import convert

        done = convert(
            args.file,
            out=args.out,
            mode=args.mode,
            published_as=args.published_as,
            channels=args.channels,
            keep_first_layer=args.keep_first_layer,
            force=args.force,
        )
        answer(document(_facts(done)) if args.json else _sentence(done))
    return 0


def _facts(done):
    return {
        "out": done.out,
        "mode": done.published.mode,
        "publisher": done.published.source,
        "published_as": done.published.file_name,
        "first_layer": done.preprocessing.text if done.preprocessing else None,
        "variables": done.written,
        "left_out": done.left_out,
    }


def _sentence(done):
    from dgl.weights.published import PUBLISHERS

    first = "first layer as published"
    if done.preprocessing:
        first = "first layer made for this project's input, from " + done.preprocessing.text
    return (
        f"wrote {done.out}: weights of {PUBLISHERS[done.published.source]} for --mode {done.published.mode}, {done.written} variables ({done.left_out} that the network does not use left out); "
        f"{first}"
    )
