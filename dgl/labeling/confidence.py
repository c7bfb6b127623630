"""Confidence of an object: the estimated probability that its box has an IoU of 0.5 with the true one.

A logistic regression on :data:`FEATURES`, fitted by scikit-learn on images with true boxes, kept as JSON.
"""

import hashlib
import json
import math
import os
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from dgl.errors import UserError
from dgl.labeling.labels import box_iou
from dgl.labeling.masks import Mask
from dgl.labeling.objects import ObjectOptions, Region, find_regions
from dgl.utils.files import read_bounded

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "calibration.json")
IOU = 0.5
# With fewer the coefficients are noise.
LEAST_OBJECTS = 30
_MOST_BYTES = 1024 * 1024
_FORMAT = 1
# How much the threshold moves when the box's stability is looked at.
_TIGHTER, _WIDER = 1.5, 0.6

FEATURES = (
    "log_probability",  # of the class
    "log_ratio",  # of that probability to the most probable class's
    "log_area",  # of the box, as a part of the image
    "log_area_squared",
    "extent",  # part of the box that the region fills
    "border",  # sides of the image that the box touches
    "score_mean",  # of the map in the region
    "inside",  # part of the map's sum that lies in the box
    "tighter",  # IoU of the box with that at a higher threshold
    "wider",  # and at a lower one
    "off_center",  # distance of the box's center from the image's, in halves of its sides
    "second",  # the next largest region's area over this one's
)
MASK_FEATURES = (
    "refined_iou",  # IoU of the map's box with that of the refined mask
    "refined_extent",  # part of its box that the refined mask fills
)


def describe(
    score: np.ndarray,
    region: Region,
    regions: Sequence[Region],
    options: ObjectOptions,
    probability: float,
    best_probability: float,
    mask: Optional[Mask] = None,
) -> Dict[str, float]:
    """The features of an object, name -> finite float.

    Args:
        score: (h, w) float32 in [0, 1], the map.
        region, regions: the object's region and all that were found in the map with ``options``.
        probability, best_probability: of the map's class, and of the most probable one.
        mask: the object's, where masks are refined.
    """
    height, width = score.shape
    x0, y0, x1, y1 = region.box
    area = (x1 - x0) * (y1 - y0)
    log_area = math.log(area / score.size)
    others = [float(one.mask.sum()) for one in regions if one is not region]
    own = float(region.mask.sum())
    center = ((x0 + x1) / width - 1, (y0 + y1) / height - 1)
    found = {
        "log_probability": math.log(max(probability, 1e-6)),
        "log_ratio": math.log(max(probability, 1e-6) / max(best_probability, 1e-6)),
        "log_area": log_area,
        "log_area_squared": log_area**2,
        "extent": own / area,
        "border": float((x0 == 0) + (y0 == 0) + (x1 == width) + (y1 == height)),
        "score_mean": region.score_mean,
        "inside": float(score[y0:y1, x0:x1].sum() / max(float(score.sum()), 1e-9)),
        "tighter": _at_other_threshold(score, region, options, _TIGHTER),
        "wider": _at_other_threshold(score, region, options, _WIDER),
        "off_center": math.hypot(*center),
        "second": max(others, default=0.0) / own,
    }
    if mask is not None:
        refined = [side * (width, height)[i % 2] for i, side in enumerate(mask.box)]
        size = mask.pixels.size * (mask.box[2] - mask.box[0]) * (mask.box[3] - mask.box[1])
        found["refined_iou"] = box_iou(region.box, refined)
        found["refined_extent"] = float(mask.pixels.sum()) / size
    return {name: round(value, 4) for name, value in found.items()}


def _at_other_threshold(
    score: np.ndarray, region: Region, options: ObjectOptions, factor: float
) -> float:
    """IoU of the region's box with the best one among the regions at another threshold."""
    other = options._replace(threshold=min(1.0, options.threshold * factor), split=False)
    return max((box_iou(region.box, one.box) for one in find_regions(score, other)), default=0.0)


class Model(NamedTuple):
    """A logistic regression."""

    names: Sequence[str]
    mean: Sequence[float]  # of each feature, which is standardized by it and by the scale
    scale: Sequence[float]
    weights: Sequence[float]  # of the standardized features
    bias: float

    def confidence(self, features: Mapping[str, float]) -> float:
        """Float in (0, 1), of an object with these features."""
        total = self.bias
        for name, mean, scale, weight in zip(self.names, self.mean, self.scale, self.weights):
            total += weight * (features[name] - mean) / scale
        return round(1 / (1 + math.exp(-min(max(total, -30.0), 30.0))), 4)


def fit(features: Sequence[Mapping[str, float]], is_right: Sequence[bool]) -> Model:
    """Fit a model to features of :func:`describe`; ``is_right``: IoU of 0.5 or more with a true box.

    Raises:
        UserError: fewer than 30 objects, or all of them right, or none.
    """
    if len(is_right) < LEAST_OBJECTS or len(set(map(bool, is_right))) < 2:
        raise UserError(
            f"--calibrate: {len(is_right)} objects, {sum(map(bool, is_right))} of them right; expected at "
            f"least {LEAST_OBJECTS}, right ones and wrong ones"
        )
    from sklearn.linear_model import LogisticRegression

    names = [name for name in FEATURES + MASK_FEATURES if name in features[0]]
    table = np.array([[own[name] for name in names] for own in features], np.float64)
    mean, scale = table.mean(axis=0), table.std(axis=0)
    scale[scale < 1e-6] = 1.0
    model = LogisticRegression(C=0.1, max_iter=1000)
    model.fit((table - mean) / scale, np.asarray(is_right, bool))
    rows = (mean, scale, model.coef_[0], model.intercept_)
    means, scales, weights, bias = ([float(f"{value:.6g}") for value in row] for row in rows)
    return Model(names, means, scales, weights, bias[0])


class Calibration(NamedTuple):
    """Models with where they come from."""

    source: str  # in words, for the header of a store and for messages
    # `weights` (their fingerprint), `method` and `layer` that they were made with.
    network: Mapping[str, Any]
    models: Mapping[str, Model]  # name -> `Model`, see `model_name`

    def to_json(self) -> Dict[str, Any]:
        """As JSON values."""
        models = {name: dict(model._asdict()) for name, model in self.models.items()}
        return {"dgl_calibration": _FORMAT, **self._asdict(), "models": models}

    def summary(self) -> Dict[str, str]:
        """What a store's header says of it."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return {"source": self.source, "digest": hashlib.sha256(text.encode("ascii")).hexdigest()}


def model_name(is_known: bool, with_masks: bool) -> str:
    """The name of a model: whether labels are known, and whether boxes are those of refined masks."""
    return ("known" if is_known else "predicted") + ("_mask" if with_masks else "_box")


def read_calibration(path: str = SHIPPED) -> Calibration:
    """Read a calibration; by default the one that comes with the package.

    Raises:
        UserError: no such file, or it is damaged.
    """
    data = read_bounded(path, _MOST_BYTES, "a calibration")
    if data is None:
        raise UserError(f"{path}: no such file; expected a calibration")
    try:
        values = json.loads(data.decode("utf-8"))
        if values["dgl_calibration"] != _FORMAT:
            raise ValueError("another format")
        models = {name: Model(**own) for name, own in values["models"].items()}
        for model in models.values():
            lengths = {len(part) for part in (model.names, model.mean, model.scale, model.weights)}
            if len(lengths) > 1 or not set(model.names) <= set(FEATURES + MASK_FEATURES):
                raise ValueError("unknown features")
        return Calibration(str(values["source"]), dict(values["network"]), models)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: expected a calibration of `dgl label` ({error!r})") from None
