"""`dgl localize` and `test_code/dome_image_DGL.py`: maps, boxes and records of images."""

import argparse
import os
import sys
import time

from dgl.backbones import BACKBONES
from dgl.cli import flags
from dgl.datasets import SHIPPED_CHECKPOINT, SHIPPED_IMAGES
from dgl.errors import UserError
from dgl.predict.postprocess import DEFAULT_THRESHOLD, MINMAX, parse_normalization
from dgl.tf_compat import use_reference_kernels
from dgl.utils.devices import FLOAT32
from dgl.weights.foreign_model import model_kind
from dgl.weights.identify import known_mode
from dgl.weights.model_card import check_image_size


def make_parser(description: str) -> argparse.ArgumentParser:
    """The parser of `dome_image_DGL.py`: `dgl localize` with the published defaults and drawing."""
    parser = argparse.ArgumentParser(description=description, formatter_class=flags.HelpFormatter)
    add_flags(parser)
    parser.set_defaults(
        mode="vgg",
        load=SHIPPED_CHECKPOINT,
        clayer="2",
        threshold=DEFAULT_THRESHOLD,
        normalize=str(MINMAX),
        published=True,
    )
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of localization."""
    parser.set_defaults(published=False)
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add("images", nargs="*", metavar="IMAGE", help="images or folders (default: bundled images)")
    add(
        "--load",
        help="checkpoint, or a model of others: .keras, .h5, .pb, .onnx or a SavedModel (default: ImageNet "
        "weights of --mode, or of efficientnet_lite0)",
    )
    flags.add_layer(groups["main"])
    add("--outdir", "--out", default=".", help="output folder")

    groups["input"].add_argument("--data_path", help="one more image or folder")
    add = groups["map"].add_argument
    add(
        "--class", dest="class_index", metavar="CLASS",
        help="class to localize: index, name, its beginning, or WordNet id (default: the top-1 class)",
    )  # fmt: skip
    add("--top", type=int, default=1, metavar="N", help="localize the N most probable classes")
    add(
        "--min-probability", type=float, metavar="P",
        help="localize every class of at least this probability, as several labels of one image have, and "
        "the most probable one in any case; at most --top of them, if that is given",
    )  # fmt: skip
    flags.add_map(groups)

    add = groups["output"].add_argument
    add("--save-maps", action="store_true", help="also write the raw maps as .npy")
    add("--no-drawings", action="store_true", help="write records, and raw maps if asked for, only")
    add("--resume", action="store_true", help="skip images already written with the same flags")
    flags.add_json(groups["output"], "one object per image")

    add = groups["speed"].add_argument
    add("--workers", type=int, help="threads that load, draw and write (default: one per core)")
    add(
        "--fast", action="store_true",
        help="use oneDNN's CPU kernels instead of those of TensorFlow 1.15",
    )  # fmt: skip
    flags.add_precision(groups["speed"], note=" (implies --fast)")
    add("--timing", action="store_true", help="print how long each part takes to standard error")


class Timing:
    """Seconds that the parts of a run take, one part ending where the next begins."""

    def __init__(self) -> None:
        # Until now nothing had to be waited for: seconds of a core are those of the clock.
        self._seconds = {"start": time.process_time()}
        self._last = time.perf_counter()

    def end_of(self, part: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self._seconds[part], self._last = now - self._last, now

    def __str__(self) -> str:
        parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in self._seconds.items())
        return f"timing: {parts}; in all {sum(self._seconds.values()):.2f} s"


def run(args: argparse.Namespace) -> int:
    """Localize; returns the exit code, which is 1 if one of several images cannot be read."""
    timing = Timing()
    most = 4096
    flags.check_ranges(args, threshold=(0, 1), batch=(1, most), workers=(1, most), top=(1, most))
    if args.normalize is not None:
        parse_normalization(args.normalize)
    check_image_size(args.image_size)
    if args.top > 1 and args.class_index is not None:
        raise UserError(f"--top {args.top}: expected 1 with --class, which names the class")
    if args.min_probability is not None:
        if not 0 < args.min_probability <= 1:
            raise UserError(
                f"--min-probability {args.min_probability}: expected above 0, at most 1"
            )
        if args.class_index is not None:
            raise UserError("--min-probability: expected without --class, which names the class")
    sources = [*args.images, *([args.data_path] if args.data_path else [])]
    if not sources:
        sources = [SHIPPED_IMAGES]
        if args.load is None and args.mode is None:
            args.load = SHIPPED_CHECKPOINT  # which knows the bundled images
    backbone = BACKBONES.get(args.mode or known_mode(args.load) or "")
    # The published numbers are of TensorFlow 1.15's kernels; other networks have none.
    is_published = (backbone is None or not backbone.package) and not model_kind(args.load)
    if is_published and not args.fast and args.precision == FLOAT32:
        use_reference_kernels()  # before TensorFlow is loaded
    from dgl.cli import localize_images as images  # TensorFlow takes seconds to load
    from dgl.data.image_files import LeftOut, list_images

    timing.end_of("TensorFlow")
    left_out = LeftOut()
    paths = list(dict.fromkeys(p for source in sources for p in list_images(source, left_out)))
    with flags.answering(args, indent=None) as answer, images.make_predictor(args) as predictor:
        timing.end_of("network")
        report = (lambda facts: answer(facts, "")) if args.json else images.print_line
        if len(sources) == 1 and not os.path.isdir(sources[0]):
            code = images.localize_image(args, predictor, paths[0], report)
        else:
            code = images.localize_folder(args, predictor, paths, report)
    timing.end_of("images")
    if left_out:
        print(left_out, file=sys.stderr)
    if args.timing:
        print(timing, file=sys.stderr)
    return code


LOCALIZE = flags.Command(
    name="localize",
    help="find the object in images: maps, boxes and a record of each",
    examples=(
        "dgl localize",
        "dgl localize photo.jpg",
        "dgl localize photo.jpg --top 3 --mode efficientnet_lite2",
        "dgl localize photo.jpg --load train_log/vgg_birds --layer conv5_3 --out output",
        "dgl localize photo.jpg photos/ --out output --json > boxes.jsonl",
        "dgl localize photos/ --method gradcam++ --threshold 0.3 --save-maps --out output",
        "dgl localize photos/ --no-drawings --out output",
        "dgl localize photo.jpg --class 3 --alpha inf --out output",
        "dgl localize photo.jpg --class tabby --out output",
    ),
    add_flags=add_flags,
    run=run,
)
