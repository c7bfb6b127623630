"""Evaluation of a checkpoint on a data set.

The evaluators of :mod:`dgl.metrics` can be imported from here too.
"""

from dgl.metrics import (
    ClassificationEvaluator,
    Comparison,
    Evaluator,
    FixedThresholdEvaluator,
    MaxBoxAccEvaluator,
    PixelApEvaluator,
    compare,
    intervals,
    rank_labels,
)
from dgl.utils.table import format_table, write_csv

__all__ = [
    "ClassificationEvaluator",
    "Comparison",
    "Evaluator",
    "FixedThresholdEvaluator",
    "MaxBoxAccEvaluator",
    "PixelApEvaluator",
    "compare",
    "format_table",
    "intervals",
    "rank_labels",
    "write_csv",
]
