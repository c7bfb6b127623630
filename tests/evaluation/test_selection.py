"""Thresholds and layers selected from another split's results."""

import dataclasses

import numpy as np
import pytest
from made_results import PLAN

from dgl.evaluation.results import Results, image_key
from dgl.evaluation.summary import select_thresholds

PROTOCOLS = ("fixed_threshold", "wsolevaluation")


def stepped(low, high):
    """A map whose foreground is the whole up to ``low``, the true box up to ``high``, then a dot."""
    score_map = np.full((40, 40), low, "float32")
    score_map[:20, :20] = high
    score_map[0, 0] = 1
    return score_map


def gather(maps):
    """Results of one map an entry and a protocol on a single image with one true box."""
    plan = dataclasses.replace(
        PLAN, protocols=PROTOCOLS, entries=tuple(maps), alpha_entries=(), thresholds={},
        selecting=True, data={"name": "x", "split": "train", "images": 1},
    )  # fmt: skip
    results = Results(plan)
    for (protocol, entry), evaluator in results.localization.items():
        score_map = stepped(*maps[entry][PROTOCOLS.index(protocol)])
        evaluator.add(score_map, [[0, 0, 20, 20]], ids=image_key(0))
    return results


MAPS = {
    ("dgl", "a"): ((0.3, 0.6), (0.1, 0.6)),
    ("dgl", "b"): ((0.0, 0.0), (0.0, 0.0)),  # a dot at every threshold: never right
    ("cam", "a"): ((0.5, 0.9), (0.7, 0.9)),
}


def test_each_protocol_settles_its_own_thresholds_and_each_method_its_best_layer():
    thresholds, description = select_thresholds(gather(MAPS))
    # The lowest threshold in steps of 0.01 at which the level of the outside is not exceeded.
    for protocol, lows in (("fixed_threshold", (0.3, 0.5)), ("wsolevaluation", (0.1, 0.7))):
        own = thresholds[protocol]
        assert own["dgl@a"] == pytest.approx(lows[0], abs=0.011)
        assert own["cam@a"] == pytest.approx(lows[1], abs=0.011)
        assert own["dgl@b"] == 0.0
    assert (description["split"], description["images"]) == ("train", 1)
    assert "wsolevaluation" in description["rule"]
    rows = description["rows"]
    assert [(row["method"], row["layer"], row["chosen"], row["box_acc"]) for row in rows] == [
        ("dgl", "a", True, 100.0), ("dgl", "b", False, 0.0), ("cam", "a", True, 100.0),
    ]  # fmt: skip
