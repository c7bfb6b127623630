"""Rows of an evaluation for the charts: a method at a layer with its figures and its curve."""

import numpy as np


def row(method, layer, peak, at=0.4):
    thresholds = np.arange(0, 1, 0.05)
    curve = peak - 100 * (thresholds - at) ** 2
    return {
        "method": method,
        "layer": layer,
        "gt_known": peak - 3,
        "max_box_acc": peak,
        "thresholds": thresholds.tolist(),
        "curve": curve.tolist(),
    }


ROWS = [
    row("cam", "add", 50.0),
    row("dgl", "conv5_3", 60.0, 0.3),
    row("dgl", "conv4_3", 55.0),
    row("layercam", "conv5_3", 52.0),
]


ROWS = [
    row("cam", "add", 50.0),
    row("dgl", "conv5_3", 60.0, 0.3),
    row("dgl", "conv4_3", 55.0),
    row("layercam", "conv5_3", 52.0),
]
# One row alone, CAM or another; many rows with names that look like formulas.
UNUSUAL = [ROWS[:1], ROWS[1:2], [row("dgl", "l$_{" + str(i), i) for i in range(30)]]
