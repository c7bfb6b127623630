"""`dgl convert` and `dgl export`: published and trained weights in one `.npz` file."""

import argparse
import os
from typing import Any

from dgl.backbones import BACKBONES
from dgl.backbones.published import PUBLISHERS
from dgl.cli import flags


def _add_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add("file", help="published weights: .npz, .ckpt, .h5, .pth or .safetensors")
    add("--out", help="the .npz to write (default: the name that --load knows, in pretrain_model/)")
    add = groups["model"].add_argument
    add(
        "--mode", metavar="MODE",
        help="backbone, if the layers match none exactly: " + ", ".join(BACKBONES),
    )  # fmt: skip
    add("--published-as", metavar="NAME", help="published file name, if the file was renamed")
    add(
        "--channels", choices=("rgb", "bgr"),
        help="order of the input channels (default: the publisher's)",
    )  # fmt: skip
    add(
        "--strides",
        help="of a ResNet, for the model card: published (default), published-1x1 (in the first 1 x 1 "
        "convolution of a block, as Keras has it), dilated, dilated-1x1 or dgl",
    )
    add(
        "--divide-activations", type=float, default=1.0, metavar="N",
        help="make a VGG's activations N times smaller, for training at usual learning rates",
    )  # fmt: skip
    flags.add_first_layer(groups["model"])
    groups["output"].add_argument("--force", action="store_true", help="overwrite --out")
    flags.add_json(groups["output"], "a summary")


def _run(args: argparse.Namespace) -> int:
    with flags.answering(args) as answer:
        from dgl.weights.convert import convert

        result = convert(
            args.file,
            out=args.out,
            mode=args.mode,
            published_as=args.published_as,
            channels=args.channels,
            keep_first_layer=args.keep_first_layer,
            strides=args.strides,
            divide_activations=args.divide_activations,
            force=args.force,
        )
        summary = {
            "out": result.out,
            "mode": result.mode,
            "publisher": result.published.publisher,
            "published_as": result.published.file_name,
            "first_layer": result.preprocessing.text if result.preprocessing else None,
            "variables": result.written,
            "left_out": result.left_out,
        }
        answer(summary, _sentence(result))
    return 0


def _sentence(result: Any) -> str:
    first_layer = "first layer as published"
    if result.preprocessing:
        first_layer = f"first layer adapted to this project's input: {result.preprocessing.text}"
    return (
        f"wrote {result.out}: weights of {PUBLISHERS[result.published.publisher]} "
        f"for --mode {result.mode}, {result.written} variables "
        f"({result.left_out} unused ones left out); {first_layer}"
    )


def _add_export_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add("--load", required=True, help="trained checkpoint or its folder")
    add("--out", required=True, help="the .npz to write")
    flags.add_json(groups["output"], "a summary")


def _run_export(args: argparse.Namespace) -> int:
    with flags.answering(args) as answer:
        from dgl.weights.export import export

        count = export(args.load, args.out)
        size = os.path.getsize(args.out)
        answer(
            {"out": args.out, "variables": count, "bytes": size},
            f"wrote {args.out}: {count} variables, {size / 1e6:.1f} MB",
        )
    return 0


CONVERT = flags.Command(
    name="convert",
    help="convert published ImageNet weights into a file that --load accepts",
    examples=(
        "dgl convert vgg16-397923af.pth",
        "dgl convert vgg16_weights_tf_dim_ordering_tf_kernels.h5 --out pretrain_model/vgg16.npz --force",
        "dgl convert renamed.pth --published-as resnet50-0676ba61.pth --json",
    ),
    add_flags=_add_flags,
    run=_run,
)

EXPORT = flags.Command(
    name="export",
    help="pack a trained checkpoint into one .npz without optimizer state, with its model card",
    examples=(
        "dgl export --load train_log/vgg_birds --out birds_vgg.npz",
        "dgl export --load train_log/vgg_birds --out birds_vgg.npz --json",
    ),
    add_flags=_add_export_flags,
    run=_run_export,
)
