"""Evaluators of classification and localization: they take batches and can be merged.

Two protocols that are never mixed: ``fixed_threshold`` (:class:`FixedThresholdEvaluator`) and
``wsolevaluation`` (:class:`MaxBoxAccEvaluator`, and :class:`PixelApEvaluator` for masks).
:class:`PointingGameEvaluator` is for mosaics.
"""

from dgl.metrics.bootstrap import Comparison, compare, intervals
from dgl.metrics.classification import ClassificationEvaluator, rank_labels
from dgl.metrics.evaluator import Evaluator
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.metrics.pointing_game import PointingGameEvaluator

__all__ = [
    "ClassificationEvaluator",
    "Comparison",
    "Evaluator",
    "FixedThresholdEvaluator",
    "MaxBoxAccEvaluator",
    "PixelApEvaluator",
    "PointingGameEvaluator",
    "compare",
    "intervals",
    "rank_labels",
]
