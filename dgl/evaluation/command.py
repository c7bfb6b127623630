"""The command line of the batch evaluation."""

import argparse
import json
import math
import os
import platform
import sys
from collections import OrderedDict

import cv2
import numpy

from dgl import __version__
from dgl.data.layouts import check_files, layout_names, load_data
from dgl.errors import UserError
from dgl.evaluation.localization import PROTOCOLS, Evaluation
from dgl.evaluation.table import format_table, write_csv
from dgl.files import write_atomically
from dgl.rendering.page import write_report

_TITLES = OrderedDict(
    fixed_threshold="Fixed threshold {threshold}: largest contour, IoU >= {iou}, % ({geometry})",
    wsolevaluation="wsolevaluation: best of all thresholds in steps of {step}, % ({geometry})",
)
_COLUMNS = OrderedDict(
    fixed_threshold=("method", "layer", "gt_known", "top1_loc", "top5_loc"),
    wsolevaluation=("method", "layer", "max_box_acc", "best_threshold", "max_box_acc_v2"),
)


def make_parser(description):
    """The parser of `evaluate_localization.py`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--load", required=True, help="checkpoint: prefix, folder, .npz or .ckpt")
    parser.add_argument("--mode", default="vgg", help="backbone")
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--dataname", help="list folder below DATA/labels (the only one)")
    parser.add_argument("--data-format", choices=layout_names(), help="layout (recognised)")
    parser.add_argument("--split", default="val", help="train, val or test")
    parser.add_argument("--clayer", nargs="+", default=["1", "2"], help="layers: index or name")
    parser.add_argument("--method", nargs="+", default=["dgl", "cam"], help="dgl, cam")
    parser.add_argument("--pa", type=float, default=10.0, help="alpha of the loss gradient")
    parser.add_argument("--image_size", type=int, help="side of the input (the checkpoint's, 224)")
    parser.add_argument("--dataset", choices=("imagenet", "cub"), help="which head, if several")
    parser.add_argument("--threshold", type=float, default=0.2, help="of the fixed protocol")
    parser.add_argument("--cam-interval", type=float, default=0.01, help="step of MaxBoxAcc")
    parser.add_argument(
        "--protocol", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="what to measure"
    )
    parser.add_argument("--limit", type=int, help="only the first pictures of the list")
    parser.add_argument("--batch", type=int, default=32, help="pictures a run of the network")
    parser.add_argument("--gallery", type=int, default=24, help="pictures to draw")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads")
    parser.add_argument("--gpu", help="GPU to use (-1: the CPU)")
    parser.add_argument("--out", default="evaluation", help="folder for results")
    return parser


def _check(args):
    for flag, value, low, high in (
        ("--threshold", args.threshold, 0, 1),
        ("--cam-interval", args.cam_interval, 1e-4, 1),
        ("--batch", args.batch, 1, 4096),
        ("--workers", args.workers, 1, 256),
        ("--gallery", args.gallery, 0, 100000),
        ("--image_size", 224 if args.image_size is None else args.image_size, 32, 4096),
        ("--limit", 1 if args.limit is None else args.limit, 1, float("inf")),
    ):
        if not low <= value <= high:
            raise UserError("{} {}: expected a value in [{}, {}]".format(flag, value, low, high))


def _versions():
    from dgl.tf_compat import tf

    return OrderedDict(
        dgl=__version__,
        python=platform.python_version(),
        tensorflow=tf.VERSION,
        numpy=numpy.__version__,
        opencv=cv2.__version__,
    )


def print_tables(metrics):
    """Print the errors and one table a protocol; the two are never mixed."""
    errors = metrics["classification"]
    print("\nClassification error, %: " + ", ".join(
        "{} {:.1f}".format(name.replace("_error", "").replace("top", "top-"), value)
        for name, value in errors.items()
    ))  # fmt: skip
    for name, protocol in metrics["protocols"].items():
        print("\n" + _TITLES[name].format(**protocol))
        columns = [c for c in _COLUMNS[name] if any(c in row for row in protocol["rows"])]
        print(format_table(protocol["rows"], columns, digits={"best_threshold": 3}))
    print("")


def run(args):
    """Carry out parsed flags; returns the exit code."""
    _check(args)
    from dgl.localizer import Localizer  # TensorFlow takes seconds to load; --help should not

    dataset = load_data(args.data, args.split, args.dataname, args.data_format)
    if args.limit:
        del dataset.samples[args.limit :]
    check_files(dataset)
    with Localizer(
        args.mode,
        args.load,
        layers=args.clayer,
        methods=list(OrderedDict.fromkeys(args.method)),
        alpha=args.pa,
        image_size=args.image_size,
        data_set=args.dataset,
        gpu=args.gpu,
    ) as localizer:
        evaluation = Evaluation(
            localizer,
            dataset,
            args.out,
            protocols=list(OrderedDict.fromkeys(args.protocol)),
            threshold=args.threshold,
            step=args.cam_interval,
            batch=args.batch,
            gallery=args.gallery,
            workers=args.workers,
        )
        metrics = OrderedDict(
            command=" ".join(["python"] + sys.argv),
            versions=_versions(),
            model=OrderedDict(
                mode=args.mode,
                load=args.load,
                image_size=localizer.image_size,
                classes=localizer.classes,
                width=localizer.options.width,
                norm=localizer.options.norm,
                # JSON has no infinity.
                alpha=args.pa if math.isfinite(args.pa) else "inf",
            ),
            data=OrderedDict(
                name=dataset.name,
                layout=dataset.format,
                split=dataset.split,
                images=len(dataset),
            ),
        )
        metrics.update(evaluation.run())
    text = json.dumps(metrics, indent=1) + "\n"
    write_atomically(os.path.join(args.out, "metrics.json"), text.encode("utf-8"))
    write_csv(os.path.join(args.out, "images.csv"), evaluation.image_rows())
    page = write_report(args.out, metrics, evaluation.gallery)
    print_tables(metrics)
    print("Results in {}; open {}".format(args.out, page))
    return 0
