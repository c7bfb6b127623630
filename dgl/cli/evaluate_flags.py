"""The flags of the batch evaluation and of the study."""

import argparse
import os
import re

from dgl.data.layouts import layout_names
from dgl.errors import UserError
from dgl.evaluation.fusion import FUSIONS
from dgl.evaluation.plan import FIXED, WSOL
from dgl.predict.postprocess import DEFAULT_THRESHOLD
from dgl.utils.cpu import FLOAT32, PRECISIONS

PROTOCOLS = (FIXED, WSOL)
# A decade and a half on either side of the paper's 10, and the limit.
ALPHAS = ("0.1", "0.3", "1", "3", "10", "30", "100", "inf")
# What the study's flags are where the evaluation's are others: everything is compared.
STUDY = {
    "clayer": ["all"],
    "method": ["all"],
    "alphas": list(ALPHAS),
    "tune_split": "train",
    "fuse": ["mean"],
}


def make_parser(description: str) -> argparse.ArgumentParser:
    """The parser of `evaluate_localization.py`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add_flags(parser)
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the evaluation."""
    model = parser.add_argument_group("what to evaluate")
    model.add_argument("--load", help="checkpoint: prefix, folder, .npz or .ckpt")
    model.add_argument("--mode", default="vgg", help="backbone")
    model.add_argument("--data", help="folder of the data set")
    model.add_argument("--dataname", help="list folder below DATA/labels (the only one)")
    model.add_argument("--data-format", choices=layout_names(), help="layout (recognized)")
    model.add_argument("--split", default="val", help="train, val or test")
    model.add_argument("--image_size", type=int, help="side of the input (the checkpoint's, 224)")
    model.add_argument("--dataset", choices=("imagenet", "cub"), help="which head, if several")
    model.add_argument("--limit", type=int, help="only the first images of the list")
    methods = parser.add_argument_group("methods and layers")
    methods.add_argument(
        "--clayer",
        "--layer",
        nargs="+",
        default=["1", "2"],
        help="layers: indices, names, ranges (1-4), all",
    )
    methods.add_argument(
        "--method", nargs="+", default=["dgl", "cam"], help="names of methods, or all"
    )
    methods.add_argument(
        "--pa", "--alpha", type=float, default=10.0, help="alpha of the loss gradient"
    )
    methods.add_argument(
        "--fuse", nargs="+", choices=FUSIONS, default=[], help="also fuse each method's layers"
    )
    methods.add_argument("--fuse-layers", nargs="+", help="layers to fuse (those of --clayer)")
    methods.add_argument(
        "--alphas", nargs="+", default=[], help="study alpha: values of --pa, by both gradients"
    )
    methods.add_argument(
        "--alpha-layer", help="its layer (DGL's by --tune-split, else the first of --clayer)"
    )
    protocol = parser.add_argument_group("how to measure")
    protocol.add_argument(
        "--protocol", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="what to measure"
    )
    protocol.add_argument(
        "--threshold", type=float, default=DEFAULT_THRESHOLD, help="of the fixed protocol"
    )
    protocol.add_argument(
        "--cam-interval", type=float, default=0.01, help="step of MaxBoxAcc's and PxAP's thresholds"
    )
    protocol.add_argument(
        "--tune-split", help="settle thresholds and layers on this other split, not on --split"
    )
    protocol.add_argument(
        "--tune-limit", type=int, help="only so many images of it, evenly over its list"
    )
    protocol.add_argument("--seed", type=int, default=0, help="of the resampling")
    protocol.add_argument(
        "--resamples", type=int, default=1000, help="of intervals and paired tests; 0 for none"
    )
    saved = parser.add_argument_group("saved maps")
    saved.add_argument("--save-maps", action="store_true", help="write maps as wsolevaluation's")
    saved.add_argument(
        "--maps", nargs="+", help="no model: score folders of <id>.npy against --metadata"
    )
    saved.add_argument("--metadata", help="metadata folder of wsolevaluation, for --maps")
    saved.add_argument("--mask-root", help="folder of the masks that --metadata names")
    running = parser.add_argument_group("running")
    running.add_argument("--out", default="evaluation", help="folder for results")
    running.add_argument("--batch", type=int, default=32, help="images a run of the network")
    running.add_argument("--gallery", type=int, default=24, help="images to draw")
    running.add_argument("--workers", type=int, default=os.cpu_count(), help="threads")
    running.add_argument("--gpu", help="GPU to use (-1: the CPU)")
    running.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=FLOAT32,
        help="bf16 needs a CPU or GPU that computes in it, bf16-anywhere rounds the same on any "
        "CPU, slowly",
    )
    running.add_argument(
        "--strict", action="store_true", help="stop at an image that cannot be read"
    )
    running.add_argument(
        "--restart", action="store_true", help="drop the unfinished results in --out"
    )
    running.add_argument("--shard", metavar="I/N", help="only every N-th batch, from the I-th on")
    running.add_argument("--merge", nargs="+", metavar="OUT", help="merge the results of shards")
    shared = parser.add_argument_group(
        "several processes and hosts, by Ray (docs/scaling.md); the results are those of one process"
    )
    shared.add_argument(
        "--ray-workers",
        type=int,
        metavar="N",
        help="so many processes, each with a session; with --save-maps, --out lies on every host",
    )
    shared.add_argument(
        "--ray-address", metavar="ADDR", help="of a running cluster, or auto (started here)"
    )
    shared.add_argument("--ray-cpus", type=float, help="CPUs of each (shared out evenly)")
    shared.add_argument("--ray-gpus", type=float, help="GPUs of each (one, where there are any)")


def make_study_parser(description: str) -> argparse.ArgumentParser:
    """The parser of `study_localization.py`: the same flags, set to compare everything."""
    parser = make_parser(description)
    parser.set_defaults(**STUDY)
    return parser


def check_flags(args: argparse.Namespace) -> None:
    """Raise :class:`UserError` for a value out of range, or flags that do not go together."""
    for flag, value, low, high in (
        ("--threshold", args.threshold, 0, 1),
        ("--cam-interval", args.cam_interval, 1e-4, 1),
        ("--batch", args.batch, 1, 4096),
        ("--workers", args.workers, 1, 256),
        ("--gallery", args.gallery, 0, 100000),
        ("--image_size", 224 if args.image_size is None else args.image_size, 32, 4096),
        ("--limit", 1 if args.limit is None else args.limit, 1, float("inf")),
        ("--tune-limit", 1 if args.tune_limit is None else args.tune_limit, 1, float("inf")),
        ("--seed", args.seed, 0, 2**32 - 1),
        ("--resamples", args.resamples, 0, 100000),
        ("--ray-workers", 1 if args.ray_workers is None else args.ray_workers, 1, 4096),
        ("--ray-cpus", 1 if args.ray_cpus is None else args.ray_cpus, 1e-3, 4096),
        ("--ray-gpus", 1 if args.ray_gpus is None else args.ray_gpus, 0, 64),
    ):
        if not low <= value <= high:
            raise UserError(f"{flag} {value}: expected a value in [{low}, {high}]")
    if not args.maps and not args.merge:
        for flag, value in (("--load", args.load), ("--data", args.data)):
            if value is None:
                raise UserError(f"{flag}: expected, as neither --maps nor --merge is given")
    if args.tune_split == args.split:
        raise UserError(f"--tune-split {args.tune_split}: expected another split than --split's")
    _check_ray_flags(args)


def _check_ray_flags(args):
    given = [
        ("--ray-address", args.ray_address),
        ("--ray-cpus", args.ray_cpus),
        ("--ray-gpus", args.ray_gpus),
    ]
    if args.ray_workers is None:
        for flag, value in given:
            if value is not None:
                raise UserError(f"{flag} {value}: expected --ray-workers with it")
    elif args.maps or args.merge:
        raise UserError(
            f"--ray-workers {args.ray_workers}: expected neither --maps nor --merge with it"
        )
    elif args.gpu is not None and not re.fullmatch(r"-1|\d+(,\d+)*", args.gpu):
        raise UserError(f"--gpu {args.gpu}: expected indices like 0 or 0,1, or -1")
    elif args.ray_address is not None and args.gpu not in (None, "-1"):
        raise UserError(
            f"--gpu {args.gpu}: expected -1 or nothing with --ray-address, as Ray chooses"
        )
