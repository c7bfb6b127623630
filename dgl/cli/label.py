"""`dgl label`: objects of a data set whose images have labels, as COCO, YOLO, VOC, Label Studio or CSV."""

import argparse
import os
from typing import Any, Dict

from dgl.cli import flags
from dgl.data.sample import SPLITS
from dgl.errors import UserError
from dgl.labeling.decisions import summarize
from dgl.labeling.formats import FORMATS, ExportOptions, export
from dgl.labeling.objects import ALL, LARGEST
from dgl.predict.postprocess import parse_normalization

_DEFAULT_FORMAT = "coco"


def _add_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add(
        "data", nargs="?", help="folder of the images; without it, the labels in --out are exported"
    )
    add("--load", help="checkpoint (default: ImageNet weights of --mode, or of efficientnet_lite0)")
    flags.add_layer(groups["main"])
    add("--out", required=True, help="output folder")

    add = groups["input"].add_argument
    flags.add_data(groups["input"])
    add("--split", choices=SPLITS, default="train", help="split to label, where there are several")
    add("--limit", type=int, help="label only the first images of the list")
    add("--predict", action="store_true", help="use the network's classes, not the images' labels")

    add = groups["map"].add_argument
    add(
        "--top", type=int, default=1, metavar="K",
        help="label the K most probable classes, where an image has no label",
    )  # fmt: skip
    add(
        "--min-probability", type=float, default=0.0, metavar="P",
        help="leave out classes of --top that are less probable",
    )  # fmt: skip
    flags.add_map(groups)

    add = groups["box"].add_argument
    add(
        "--objects", choices=(LARGEST, ALL), default=LARGEST,
        help="regions of the map that are objects",
    )  # fmt: skip
    add("--min-area", type=float, default=0.01, help="least part of the image, with --objects all")
    add("--max-objects", type=int, default=20, help="at most so many of a class in an image")
    add(
        "--split-touching", action="store_true",
        help="one object for each peak of a region, divided by a watershed",
    )  # fmt: skip
    add(
        "--masks", action="store_true",
        help="refine regions on the image's edges; polygons and PNGs",
    )  # fmt: skip

    add = groups["metrics"].add_argument
    add("--calibrate", metavar="DATA", help="fit the confidences on this data set, which has boxes")
    add("--calibrate-split", choices=SPLITS, default="val", help="its split")

    add = groups["output"].add_argument
    add(
        "--format", "--export", nargs="+", choices=FORMATS, metavar="FORMAT",
        help="formats to write: " + ", ".join(FORMATS) + f" (default: {_DEFAULT_FORMAT})",
    )  # fmt: skip
    add(
        "--val-fraction", type=float, default=0.1,
        help="part of the images in the list val of yolo and voc",
    )  # fmt: skip
    add("--min-confidence", type=float, default=0.0, help="export no less confident objects")
    add("--copy", action="store_true", help="export copies of the images, not links")
    add("--restart", action="store_true", help="label anew what --out holds")
    flags.add_json(groups["output"], "a summary")

    add = groups["speed"].add_argument
    add("--workers", type=int, help="threads that load and find objects (default: one per core)")
    flags.add_precision(groups["speed"])


def _check(args: argparse.Namespace) -> None:
    flags.check_ranges(
        args,
        image_size=(32, 4096),
        limit=(1, 10**9),
        top=(1, 1000),
        min_probability=(0, 1),
        threshold=(0, 1),
        min_area=(0, 1),
        max_objects=(1, 1000),
        val_fraction=(0, 1),
        min_confidence=(0, 1),
        batch=(1, 4096),
        workers=(1, 256),
    )
    if args.normalize is not None:
        parse_normalization(args.normalize)
    if args.data is None and not args.format:
        raise UserError("expected DATA to label, or --export with the labels in --out")
    if args.data is not None and os.path.realpath(args.data) == os.path.realpath(args.out):
        raise UserError(f"--out {args.out}: the folder of the images; expected another one")


def _run(args: argparse.Namespace) -> int:
    """Label and export; the exit code is 1 if some images cannot be read."""
    _check(args)
    formats = list(dict.fromkeys(args.format or [_DEFAULT_FORMAT]))
    options = ExportOptions(args.val_fraction, args.copy, args.min_confidence)
    with flags.answering(args) as answer:
        left_out = None
        if args.data is not None:
            from dgl.cli.label_images import label  # TensorFlow takes seconds to load

            left_out = label(args)
        summary: Dict[str, Any] = summarize(args.out, left_out)
        summary["exports"] = [export(args.out, name, options) for name in formats]
        answer(summary, _sentences(summary))
    return 1 if summary["skipped"] and args.data is not None else 0


def _sentences(summary: Dict[str, Any]) -> str:
    text = f"{summary['objects']} objects in {summary['labeled']} of {summary['images']} images"
    if summary["empty"]:
        text += f"; {summary['empty']} without an object are not exported"
    if summary["skipped"]:
        text += f"; {summary['skipped']} could not be read, see {summary['skipped_csv']}"
    lines = [text]
    if summary["reviewed"]:
        lines.append(
            f"{summary['reviewed']} images reviewed, {summary['rejected']} of them rejected"
        )
    if summary["confidence"]:
        lines.append("confidence: " + summary["confidence"])
    lines += ["wrote " + folder for folder in summary["exports"]]
    return "\n".join(lines)


LABEL = flags.Command(
    name="label",
    help="find the objects in labeled images, for a detector's training set",
    examples=(
        "dgl label photos/ --out labels --format yolo",
        "dgl label photos/ --out masks --format coco labelstudio --load train_log/vgg_birds --masks",
        "dgl label photos/ --out all --top 3 --min-probability 0.1 --objects all --split-touching",
        "dgl label photos/ --out sure --load train_log/vgg_birds --calibrate data/birds",
        "dgl label --out labels --export voc --min-confidence 0.5",
    ),
    add_flags=_add_flags,
    run=_run,
)
