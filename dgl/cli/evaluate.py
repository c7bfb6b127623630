"""`dgl evaluate`: what `test_code/evaluate_localization.py` does."""

import argparse
import os

from dgl.cli.output import add_json_flag, answers, document

NAME = "evaluate"
HELP = "measure localization on a data set, by both protocols"
EXAMPLES = (
    "dgl evaluate --load train_log/vgg_birds --data data/birds --clayer 1-4 --out evaluation",
    "dgl evaluate --load train_log/vgg_birds --data data/birds --method dgl gradcam cam --json",
    "dgl evaluate --load train_log/vgg_birds --data data/birds --limit 16 --resamples 0 --gallery 4",
    "dgl evaluate --maps maps/dgl --metadata maps/metadata --out scores",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the evaluation."""
    from dgl.cli.evaluate_flags import add_flags as add_evaluation_flags

    add_evaluation_flags(parser)
    # Told from the checkpoint.
    parser.set_defaults(mode=None)
    add_json_flag(parser, "the metrics")


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    from dgl.cli.evaluate_run import run as evaluate
    from dgl.evaluation.setup import parse_shard
    from dgl.evaluation.summary import METRICS

    with answers(args.json) as answer:
        args.mode = args.mode or _mode_of(args)
        code = evaluate(args)
        if args.json and parse_shard(args.shard) == (1, 1):
            with open(os.path.join(args.out, METRICS), encoding="utf-8") as stream:
                answer(stream.read().rstrip("\n"))
        elif args.json:
            answer(document({"shard": args.shard, "out": args.out}))
    return code


def _mode_of(args):
    if args.load is None or args.maps or args.merge:
        return "vgg"  # as the script has it, where no network is built
    from dgl.weights.identify import mode_for

    return mode_for(args.load)
