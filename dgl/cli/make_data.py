"""`dgl make-data`: drawn birds, or photographs of five classes, as data sets to experiment with."""

import argparse
from typing import List, Optional

from dgl.cli import flags

_BIRDS_EXAMPLES = (
    "dgl make-data birds --out data/birds",
    "dgl make-data birds --out data/few --train-per-class 10 --test-per-class 5 --workers 1",
    "dgl make-data birds --samples images",
)
_PHOTOS_EXAMPLES = (
    "dgl make-data photos5 --raccoon raccoon_dataset --kangaroo kangaroo "
    "--fruit fruit-images-for-object-detection --out data/photos5",
)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    data_sets = parser.add_subparsers(dest="data_set", metavar="DATA_SET", title="data sets")
    data_sets.required = True
    birds = data_sets.add_parser(
        "birds", **flags.help_options("draw birds with exact boxes and masks", _BIRDS_EXAMPLES)
    )
    birds.set_defaults(make=run_birds)
    add_birds_flags(birds)
    text = (
        "collect apples, bananas, kangaroos, oranges and raccoons from clones of three repositories"
    )
    photos = data_sets.add_parser("photos5", **flags.help_options(text, _PHOTOS_EXAMPLES))
    photos.set_defaults(make=run_photos5)
    add_photos5_flags(photos)


def add_birds_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the drawn birds."""
    groups = flags.add_groups(parser)
    target = groups["main"].add_mutually_exclusive_group(required=True)
    target.add_argument("--out", help="folder for the data set")
    target.add_argument("--samples", metavar="DIR", help="folder for six larger images instead")
    add = groups["input"].add_argument
    add("--seed", type=int, default=0, help="random seed of the drawings")
    for split, count in (("train", 100), ("test", 30)):
        add(f"--{split}-per-class", type=int, default=count, help=f"{split} images per class")
    add("--size", type=int, default=192, help="longer side in pixels")
    flags.add_json(groups["output"], "a summary")
    groups["speed"].add_argument("--workers", type=int, default=2, help="processes")


def run_birds(args: argparse.Namespace) -> int:
    """Draw the data set or the samples; returns the exit code."""
    from dgl.datasets.birds.anatomy import CLASS_NAMES
    from dgl.datasets.birds.data_set import write_data_set, write_samples

    with flags.answering(args) as answer:
        if args.samples is not None:
            paths = write_samples(args.samples)
            answer({"samples": paths}, "\n".join("wrote " + path for path in paths))
            return 0
        made = write_data_set(
            args.out,
            seed=args.seed,
            train_per_class=args.train_per_class,
            test_per_class=args.test_per_class,
            longest_side=args.size,
            workers=args.workers,
        )
        facts = {
            "out": args.out,
            "made": made,
            "classes": len(CLASS_NAMES),
            "train": len(CLASS_NAMES) * args.train_per_class,
            "test": len(CLASS_NAMES) * args.test_per_class,
        }
        answer(facts, f"wrote {args.out}" if made else f"{args.out} already contains this data set")
    return 0


def add_photos5_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the photographs."""
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    for flag, clone in (
        ("--raccoon", "datitran/raccoon_dataset"),
        ("--kangaroo", "experiencor/kangaroo"),
        ("--fruit", "narumiruna/fruit-images-for-object-detection"),
    ):
        add(flag, required=True, metavar="DIR", help="clone of " + clone)
    add("--out", required=True, help="folder for the data set")
    flags.add_json(groups["output"], "a summary")


def run_photos5(args: argparse.Namespace) -> int:
    """Collect the photographs; returns the exit code."""
    from dgl.datasets.photos5 import CLASS_NAMES, report, write_data_set

    with flags.answering(args) as answer:
        result = write_data_set(args.raccoon, args.kangaroo, args.fruit, args.out)
        facts = {"out": args.out, "class_names": list(CLASS_NAMES)}
        facts.update((split, list(counts)) for split, counts in result.kept.items())
        facts.update(dropped=len(result.dropped), boxes_left_out=result.boxes_left_out)
        answer(facts, f"wrote {args.out}\n{report(result)}")
    return 0


def photos5_script(argv: Optional[List[str]] = None) -> int:
    """``python -m dgl.datasets.photos5``; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dgl.datasets.photos5",
        description="Make the data set of photographs from clones of three GitHub repositories.",
    )
    add_photos5_flags(parser)
    return run_photos5(parser.parse_args(argv))


MAKE_DATA = flags.Command(
    name="make-data",
    help="make a data set: drawn birds, or photographs of five classes",
    examples=_BIRDS_EXAMPLES + _PHOTOS_EXAMPLES,
    add_flags=_add_flags,
    run=lambda args: int(args.make(args)),
)
