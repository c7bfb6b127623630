"""`dgl study`: what `test_code/study_localization.py` does."""

import argparse

from dgl.cli import evaluate
from dgl.cli.evaluate import run

NAME = "study"
HELP = "compare every method at every layer, settling thresholds on another split, and study alpha"
EXAMPLES = (
    "dgl study --load train_log/vgg_birds --data data/birds --out study",
    "dgl study --load train_log/vgg_birds --data data/birds --tune-limit 80 --clayer 1-4 --json",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the evaluation, set to compare everything."""
    from dgl.cli.evaluate_flags import STUDY

    evaluate.add_flags(parser)
    parser.set_defaults(**STUDY)


__all__ = ["EXAMPLES", "HELP", "NAME", "add_flags", "run"]
