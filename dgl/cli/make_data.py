"""`dgl make-data`, `python -m dgl.datasets.birds`, `python -m dgl.datasets.photos5`: data sets to try things on."""

import argparse

from dgl.cli.help_text import HelpFormatter, epilog, sentence
from dgl.cli.output import add_json_flag, answers, document

NAME = "make-data"
HELP = "make a data set: drawn birds, or photographs of five classes"
EXAMPLES = (
    "dgl make-data birds --out data/birds",
    "dgl make-data birds --out data/few --train-per-class 10 --test-per-class 5 --workers 1",
    "dgl make-data birds --samples images",
    "dgl make-data photos5 --raccoon raccoon_dataset --kangaroo kangaroo "
    "--fruit fruit-images-for-object-detection --out data/photos5",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the data sets, each with its flags."""
    added = parser.add_subparsers(dest="data_set", metavar="DATA_SET", title="data sets")
    added.required = True
    for name, text, add, run_it in (
        ("birds", "render drawn birds with true boxes and masks", add_birds_flags, run_birds),
        (
            "photos5",
            "apples, bananas, kangaroos, oranges and raccoons, from clones of three repositories",
            add_photos5_flags,
            run_photos5,
        ),
    ):
        own = added.add_parser(
            name,
            help=text,
            description=sentence(text),
            epilog=epilog(e for e in EXAMPLES if e.startswith(f"dgl make-data {name} ")),
            formatter_class=HelpFormatter,
        )
        add(own)
        own.set_defaults(make=run_it)


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    return args.make(args)


def add_birds_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the birds."""
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", help="folder to make the data set in")
    target.add_argument("--samples", metavar="DIR", help="write six larger images here instead")
    parser.add_argument("--seed", type=int, default=0, help="what is drawn, default %(default)s")
    for split, count in (("train", 100), ("test", 30)):
        parser.add_argument(
            f"--{split}-per-class",
            type=int,
            default=count,
            help=f"images of a class to {split} on, default %(default)s",
        )
    parser.add_argument("--workers", type=int, default=2, help="processes, default %(default)s")
    parser.add_argument(
        "--size", type=int, default=192, help="longer side in pixels, default %(default)s"
    )
    add_json_flag(parser, "what was done")


def run_birds(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    from dgl.datasets.birds.anatomy import CLASS_NAMES
    from dgl.datasets.birds.data_set import write_data_set, write_samples

    with answers(args.json) as answer:
        if args.samples is not None:
            paths = write_samples(args.samples)
            said = document({"samples": paths})
            answer(said if args.json else "\n".join("wrote " + path for path in paths))
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
        if args.json:
            answer(document(facts))
        elif made:
            answer(f"wrote {args.out}")
        else:
            answer(f"{args.out} already holds this data set, nothing to do")
    return 0


def add_photos5_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the photographs."""
    for flag, clone in (
        ("--raccoon", "datitran/raccoon_dataset"),
        ("--kangaroo", "experiencor/kangaroo"),
        ("--fruit", "narumiruna/fruit-images-for-object-detection"),
    ):
        parser.add_argument(flag, required=True, metavar="DIR", help="clone of " + clone)
    parser.add_argument("--out", required=True, help="folder to make the data set in")
    add_json_flag(parser, "what was done")


def run_photos5(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    from dgl.datasets.photos5.data_set import CLASS_NAMES, report, write_data_set

    with answers(args.json) as answer:
        result = write_data_set(args.raccoon, args.kangaroo, args.fruit, args.out)
        if args.json:
            facts = {"out": args.out, "class_names": list(CLASS_NAMES)}
            facts.update((split, list(counts)) for split, counts in result.kept.items())
            facts.update(dropped=len(result.dropped), boxes_left_out=result.boxes_left_out)
            answer(document(facts))
        else:
            answer(f"wrote {args.out}")
            answer(report(result))
    return 0
