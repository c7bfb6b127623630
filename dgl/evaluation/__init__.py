"""Evaluators of classification and localization, fed a batch at a time and mergeable.

Two protocols that are never mixed: ``fixed_threshold`` (:class:`FixedThresholdEvaluator`) and
``wsolevaluation`` (:class:`MaxBoxAccEvaluator`, and :class:`PixelApEvaluator` for masks).
"""

from dgl.evaluation.classification import ClassificationEvaluator, rank_labels
from dgl.evaluation.confidence import Comparison, compare, intervals
from dgl.evaluation.fixed_threshold import FixedThresholdEvaluator
from dgl.evaluation.max_box_acc import MaxBoxAccEvaluator
from dgl.evaluation.pixel_ap import PixelApEvaluator
from dgl.evaluation.state import Evaluator
from dgl.evaluation.table import format_table, write_csv

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
