"""`dgl evaluate`, `dgl study` and their scripts in `test_code/`: localization measured on a data set."""

import argparse
import json
import os
import re
from argparse import Namespace
from typing import Any

from dgl.attribution import METHODS
from dgl.attribution.gradients import DEFAULT_ALPHA
from dgl.backbones import BACKBONES
from dgl.cli import flags
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import FUSIONS
from dgl.evaluation.mosaic import parse_grid
from dgl.evaluation.plan import FIXED, WSOL
from dgl.metrics.box_check import FRAMES, UPRIGHT
from dgl.predict.postprocess import DEFAULT_THRESHOLD, MINMAX, parse_normalization

PROTOCOLS = (FIXED, WSOL)
# The study compares everything; alphas reach 1.5 decades to either side of the paper's 10, and the limit.
STUDY_DEFAULTS = {
    "clayer": ["all"],
    "method": ["all"],
    "alphas": ["0.1", "0.3", "1", "3", "10", "30", "100", "inf"],
    "tune_split": "train",
    "fuse": ("mean",),
}


def make_parser(description: str) -> argparse.ArgumentParser:
    """The parser of `evaluate_localization.py`: flags of `dgl evaluate`, published defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=flags.HelpFormatter)
    add_flags(parser)
    parser.set_defaults(mode="vgg")
    return parser


def make_study_parser(description: str) -> argparse.ArgumentParser:
    """The parser of `study_localization.py`."""
    parser = make_parser(description)
    parser.set_defaults(**STUDY_DEFAULTS)
    return parser


def _add_study_flags(parser: argparse.ArgumentParser) -> None:
    add_flags(parser)
    parser.set_defaults(**STUDY_DEFAULTS)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the evaluation."""
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add(
        "--load",
        help="checkpoint: prefix, folder, .npz or .ckpt; or a model of others: .keras, .h5, .pb, .onnx or "
        "a SavedModel (default: ImageNet weights of --mode)",
    )
    add("--data", help="folder of the data set")
    add(
        "--clayer", "--layer", nargs="+", default=["1", "2"],
        help="layers of the maps: indices, names, ranges (1-4), all",
    )  # fmt: skip
    add(
        "--method", nargs="+", default=["dgl", "cam"],
        help="attribution methods: " + ", ".join(METHODS) + ", all",
    )  # fmt: skip
    add("--out", default="evaluation", help="output folder")

    flags.add_data(groups["input"])
    add = groups["input"].add_argument
    add("--split", default="val", help="split to evaluate: train, val or test")
    add("--image_size", type=int, help="side of the input in pixels (default: the checkpoint's)")
    add(
        "--class-offset", type=int, metavar="N",
        help="add N to each label: 1 for a network whose first output is a background class, -1 for a list "
        "that counts from 1, 0 for labels as they are (default: names and numbers are compared)",
    )  # fmt: skip
    add(
        "--boxes-frame", choices=FRAMES, default=UPRIGHT,
        help="frame of the true boxes and masks of images that EXIF turns: raw, as the file stores it",
    )  # fmt: skip
    add("--limit", type=int, help="evaluate only the first images of the list")
    add("--strict", action="store_true", help="stop at an image that cannot be read")
    add("--maps", nargs="+", help="score folders of saved maps, <id>.npy, instead of a checkpoint")
    add("--metadata", help="wsolevaluation metadata folder for --maps")
    add("--mask-root", help="folder of the masks that --metadata names")

    add = groups["model"].add_argument
    add("--mode", help="backbone, if not recognized: " + ", ".join(BACKBONES))
    flags.add_head(groups["model"])
    flags.add_foreign(groups["model"])

    add = groups["map"].add_argument
    add("--pa", "--alpha", type=float, default=DEFAULT_ALPHA, help="alpha of the loss gradient")
    add("--fuse", nargs="+", choices=FUSIONS, default=[], help="also fuse each method's layers")
    add("--flip", action="store_true", help="average each map with that of the mirrored image")
    add("--fuse-layers", nargs="+", help="layers to fuse (default: those of --clayer)")
    add("--alphas", nargs="+", default=[], help="values of alpha to compare, with both gradients")
    add(
        "--alpha-layer",
        help="layer to compare them at (default: selected for DGL by --tune-split, or the first)",
    )

    add = groups["box"].add_argument
    add(
        "--threshold", type=float, default=DEFAULT_THRESHOLD,
        help="fraction of the map's maximum, for the fixed-threshold protocol",
    )  # fmt: skip

    flags.add_normalize(groups["box"], str(MINMAX), str(MINMAX))

    add = groups["metrics"].add_argument
    add("--protocol", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="what to measure")
    add("--cam-interval", type=float, default=0.01, help="threshold step of MaxBoxAcc and PxAP")
    add("--tune-split", help="select thresholds and layers on this split instead of --split")
    add("--tune-limit", type=int, help="use only so many of its images, evenly spaced")
    add(
        "--mosaic", metavar="RxC",
        help="also play the grid pointing game on mosaics of R x C images, such as 2x2",
    )  # fmt: skip
    add("--resamples", type=int, default=1000, help="bootstrap samples; 0 for no intervals")
    add("--seed", type=int, default=0, help="random seed of the bootstrap and of the mosaics")

    add = groups["output"].add_argument
    add("--gallery", type=int, default=24, help="images to draw")
    add("--save-maps", action="store_true", help="write maps in wsolevaluation's format")
    add("--restart", action="store_true", help="discard unfinished results in --out")
    add("--overwrite", action="store_true", help="replace finished results of other flags in --out")
    flags.add_json(groups["output"], "the metrics")

    add = groups["speed"].add_argument
    add("--batch", type=int, default=32, help="images per run of the network")
    add("--workers", type=int, default=os.cpu_count(), help="threads; processes with --maps")
    flags.add_gpu(groups["speed"])
    flags.add_precision(groups["speed"])
    add("--shard", metavar="I/N", help="evaluate every N-th batch, starting with the I-th")
    add("--merge", nargs="+", metavar="OUT", help="merge the results of shards")
    add(
        "--ray-workers", type=int, metavar="N",
        help="evaluate in N processes with Ray, same results; with --save-maps, all hosts share --out",
    )  # fmt: skip
    add("--ray-address", metavar="ADDR", help="running Ray cluster, or auto (default: start one)")
    add("--ray-cpus", type=float, help="CPUs per process (default: an even part)")
    add("--ray-gpus", type=float, help="GPUs per process (default: 1 if there are any)")


def check_flags(args: Namespace) -> None:
    """Raise :class:`UserError` for a value out of range or flags that exclude each other."""
    parse_normalization(args.normalize)
    flags.check_ranges(
        args,
        threshold=(0, 1),
        cam_interval=(1e-4, 1),
        batch=(1, 4096),
        workers=(1, 256),
        gallery=(0, 100000),
        image_size=(32, 4096),
        limit=(1, float("inf")),
        tune_limit=(1, float("inf")),
        seed=(0, 2**32 - 1),
        resamples=(0, 100000),
        ray_workers=(1, 4096),
        ray_cpus=(1e-3, 4096),
        ray_gpus=(0, 64),
    )
    if not args.maps and not args.merge:
        if args.load is None and args.mode is None:
            raise UserError(
                "expected --load, or --mode for its ImageNet weights (or --maps, --merge)"
            )
        if args.data is None:
            raise UserError("expected --data, a data set with boxes (or --maps, --merge)")
    if args.mosaic is not None:
        parse_grid(args.mosaic)
        for name in ("maps", "merge", "shard", "ray_workers"):
            if getattr(args, name) is not None:
                flag = name.replace("_", "-")
                raise UserError(f"--mosaic {args.mosaic}: expected without --{flag}")
    if args.tune_split == args.split:
        raise UserError(f"--tune-split {args.tune_split}: expected another split than --split's")
    if args.ray_workers is None:
        for name in ("address", "cpus", "gpus"):
            value = getattr(args, "ray_" + name)
            if value is not None:
                raise UserError(f"--ray-{name} {value}: expected --ray-workers with it")
    elif args.maps or args.merge:
        raise UserError(
            f"--ray-workers {args.ray_workers}: expected neither --maps nor --merge with it"
        )
    elif args.gpu is not None and not re.fullmatch(r"-1|\d+(,\d+)*", args.gpu):
        raise UserError(f"--gpu {args.gpu}: expected indices like 0 or 0,1, or -1")
    elif args.ray_address is not None and args.gpu not in (None, "-1"):
        raise UserError(f"--gpu {args.gpu}: expected -1 or nothing with --ray-address")


def run(args: Namespace) -> int:
    """Evaluate, score saved maps or merge shards; returns the exit code."""
    check_flags(args)
    from dgl.cli import evaluate_images  # loads Matplotlib and, in time, TensorFlow
    from dgl.evaluation.results import parse_shard
    from dgl.evaluation.summary import METRICS

    with flags.answering(args) as answer:
        if args.maps:
            code = evaluate_images.score_maps(args)
        elif args.merge:
            code = evaluate_images.merge_shards(args)
        else:
            code = evaluate_images.evaluate(args)
        if args.json:
            facts: Any = {"shard": args.shard, "out": args.out}
            if parse_shard(args.shard) == (1, 1):
                with open(os.path.join(args.out, METRICS), encoding="utf-8") as stream:
                    facts = json.load(stream)
            answer(facts, "")
    return code


EVALUATE = flags.Command(
    name="evaluate",
    help="measure localization on a data set, with both protocols",
    examples=(
        "dgl evaluate --load train_log/vgg_birds --data data/birds --clayer 1-4 --out evaluation",
        "dgl evaluate --load train_log/vgg_birds --data data/birds --method dgl gradcam cam --json",
        "dgl evaluate --load train_log/vgg_birds --data data/birds --limit 16 --resamples 0 --gallery 4",
        "dgl evaluate --maps maps/dgl --metadata maps/metadata --out scores",
    ),
    add_flags=add_flags,
    run=run,
)

STUDY = flags.Command(
    name="study",
    help="compare all methods, layers and values of alpha, with thresholds from another split",
    examples=(
        "dgl study --load train_log/vgg_birds --data data/birds --out study",
        "dgl study --load train_log/vgg_birds --data data/birds --tune-limit 80 --clayer 1-4 --json",
    ),
    add_flags=_add_study_flags,
    run=run,
)
