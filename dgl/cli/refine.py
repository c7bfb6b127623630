"""`dgl refine`: teach a checkpoint a foreground head with its own maps."""

import argparse
from typing import Any

import numpy as np

from dgl.attribution import METHODS
from dgl.cli import flags
from dgl.cli.flags import count, seed


def _add_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add("--load", required=True, help="checkpoint, or a short name for ImageNet weights")
    add("--data", required=True, help="folder of the data set; its boxes are not looked at")
    add("--out", required=True, help="the .npz to write: the checkpoint with its head")

    flags.add_data(groups["input"])
    add = groups["input"].add_argument
    add("--images", type=count, default=2000, help="use at most this many, spread evenly")

    flags.add_mode(groups["model"])

    add = groups["training"].add_argument
    add("--steps", type=count, default=300, help="steps of 16 images")
    add("--seed", type=seed, default=0, help="seed of initial values and order")

    add = groups["map"].add_argument
    add("--method", choices=list(METHODS), default="dgl", help="method of the maps that teach")
    add("--clayer", "--layer", help="their layer: index or name (default: the last of stride 16)")

    flags.add_json(groups["output"], "a summary")

    add = groups["speed"].add_argument
    flags.add_gpu(groups["speed"])
    add("--batch", type=count, default=8, help="images per run of the network")
    add("--workers", type=count, help="threads that load and find masks (default: one per core)")


def _run(args: argparse.Namespace) -> int:
    from dgl.data.layouts import load_data

    dataset = load_data(args.data, "train", args.dataname, args.data_format, with_boxes=False)
    if len(dataset) > args.images:
        picked = np.linspace(0, len(dataset) - 1, args.images).round().astype(int)
        dataset.samples[:] = [dataset.samples[position] for position in picked]
    with flags.answering(args) as answer:
        from dgl.training.refine import refine  # TensorFlow takes seconds to load

        refined = refine(
            args.load,
            dataset,
            args.out,
            mode=args.mode,
            method=args.method,
            layer=args.clayer,
            seed=args.seed,
            steps=args.steps,
            batch=args.batch,
            workers=args.workers,
            gpu=args.gpu,
        )
        summary = {
            "out": refined.out,
            "layers": list(refined.layers),
            "images": refined.images,
            "without_object": refined.without_object,
            "unread": len(refined.errors),
        }
        answer(summary, _sentence(refined))
    return 0


def _sentence(refined: Any) -> str:
    text = f"wrote {refined.out}: a head on {', '.join(refined.layers)}, taught by {refined.images} images"
    if refined.without_object:
        text += f"; {refined.without_object} had no mask"
    text += "; its maps are --method refined and --method foreground"
    if refined.errors:
        text += f"\n{len(refined.errors)} images could not be read, the first: {refined.errors[0]}"
    return text


REFINE = flags.Command(
    name="refine",
    help="teach a checkpoint to find whole objects, by its own maps of training images",
    examples=(
        "dgl refine --load train_log/vgg_birds --data data/birds --out birds.npz",
        "dgl localize photo.jpg --load birds.npz --method refined",
        "dgl evaluate --load birds.npz --data data/birds --method dgl refined foreground",
    ),
    add_flags=_add_flags,
    run=_run,
)
