"""`dgl export`, and `python -m dgl.weights.export`: a trained checkpoint in one file, to pass on."""

import argparse
import os

from dgl.cli.output import add_json_flag, answers, document

NAME = "export"
HELP = "pack a trained checkpoint into one .npz without optimizer state, its model card beside it"
EXAMPLES = (
    "dgl export --load train_log/vgg_birds --out birds_vgg.npz",
    "dgl export --load train_log/vgg_birds --out birds_vgg.npz --json",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the export."""
    parser.add_argument("--load", required=True, help="trained checkpoint or its folder")
    parser.add_argument("--out", required=True, help="the .npz to write")
    add_json_flag(parser, "what was done")


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    with answers(args.json) as answer:
        from dgl.weights.export import export

        count = export(args.load, args.out)
        size = os.path.getsize(args.out)
        if args.json:
            answer(document({"out": args.out, "variables": count, "bytes": size}))
        else:
            answer(f"wrote {args.out}: {count} variables, {size / 1e6:.1f} MB")
    return 0
