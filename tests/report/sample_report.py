"""A made-up evaluation of any size, with images, to try the report on."""

import os

import numpy as np

from dgl.backbones import get_backbone
from dgl.metrics.fixed_threshold import CASES
from dgl.predict.overlay import write_image
from dgl.report.gallery import Entry, compose_tile

VGG_LAYERS = list(get_backbone("vgg").layers)
METHODS = ["cam", "dgl", "gradcam", "gradcam++", "layercam", "gradient_x_input"]
CLASSES = ["apple", "banana", "kangaroo", "orange", "raccoon"]
RUN = {
    "command": "python test_code/evaluate_localization.py --load model.npz --data photos --mode vgg",
    "started": "2024-05-01T10:00:00",
    "finished": "2024-05-01T10:03:12",
    "seconds": 192.4,
}


def sample_report(folder, layers=VGG_LAYERS, methods=METHODS, images=8, seed=0, panels=3):
    """Metrics and a gallery whose images are written below ``folder``.

    Returns:
        (metrics, run, gallery) as ``write_report`` takes them; CAM is at the first layer only.
    """
    rng = np.random.RandomState(seed)
    entries = [(m, layer) for m in methods for layer in (layers[:1] if m == "cam" else layers)]
    peaks = {e: 52 - 1.6 * abs(layers.index(e[1]) - 3) + 3 * rng.randn() for e in entries}
    metrics = {
        "versions": {"dgl": "0.1.0", "python": "3.11.2", "numpy": "1.26.4"},
        "seed": seed,
        "model": dict(mode="vgg", load="model.npz", image_size=224, classes=5, norm="bn"),
        "data": {"name": "photos5", "layout": "imagenet", "split": "val", "images": 163},
        "classification": {"top1_error": 11.9, "top1_error_interval": [7.4, 17.2]},
        "protocols": {"fixed_threshold": _fixed(peaks), "wsolevaluation": _wsol(peaks)},
        "selection": _selection(peaks),
        "alpha": {"layer": "conv5_2", "rows": list(_alpha_rows())},
        "errors": 2,
        "boxes_clipped": 1,
        "boxes_outside": 0,
    }
    gallery = [_image(folder, i, entries, panels, rng) for i in range(images)]
    return metrics, RUN, gallery


def _measured(half=6.0, **figures):
    """Figures, each with an interval of twice ``half``."""
    bounds = {
        name + "_interval": [max(0.0, value - half), min(100.0, value + half)]
        for name, value in figures.items()
    }
    return dict(figures, **bounds)


def _compared(entries, figure):
    names = ["{}@{}".format(*entry) for entry in entries]
    keys = ("a", "b", "figure", "difference", "interval", "p_value")
    rows = (
        (names[1], names[0], figure, 3.1, [-1.0, 7.2], 0.12),
        (names[1], names[-1], figure, -12.4, [-17.3, -7.9], 0.0002),
    )
    return [dict(zip(keys, row)) for row in rows]


def _fixed(peaks):
    rows = []
    for (method, layer), peak in peaks.items():
        value = max(2.0, peak)
        cases = dict(zip(CASES, (value, 20.0, 10.0, 70.0 - value)))
        row = dict(method=method, layer=layer, threshold=0.2, cases=cases, images=160, skipped=3)
        rows.append(dict(row, **_measured(gt_known=value, top1_loc=0.9 * value)))
    geometry, compared = "resized to 256 x 256, center crop 224", _compared(list(peaks), "gt_known")
    return dict(threshold=0.2, iou=0.5, geometry=geometry, rows=rows, comparisons=compared)


def _wsol(peaks):
    thresholds = np.arange(0, 1, 0.01)
    rows = []
    for index, ((method, layer), peak) in enumerate(peaks.items()):
        value, at = max(3.0, peak + 1), 0.15 + 0.02 * (index % 18)
        curve = np.clip(value - 140 * (thresholds - at) ** 2, 0, 100).tolist()
        row = dict(method=method, layer=layer, thresholds=thresholds.tolist(), curve=curve)
        row.update(_measured(max_box_acc=value, max_box_acc_v2=value + 1, box_acc=value - 1.5))
        row.update(_measured(3, pxap=value + 10), best_threshold=at, tuned_threshold=at + 0.02)
        row["max_box_acc_v2_per_iou"] = {"30": value + 25, "50": value, "70": value / 3}
        rows.append(row)
    compared = _compared(list(peaks), "box_acc")
    return dict(step=0.01, geometry="squashed to 224 x 224", rows=rows, comparisons=compared)


def _selection(peaks):
    rows = []
    for (method, layer), peak in peaks.items():
        best = max(value for (own, _), value in peaks.items() if own == method)
        row = dict(method=method, layer=layer, threshold=0.3, box_acc=max(2.0, peak + 2))
        rows.append(dict(row, chosen=peak == best))
    rule = "for each method the layer and threshold of the highest box accuracy"
    return {"split": "train", "images": 476, "rule": rule, "rows": rows}


def _alpha_rows():
    for index, alpha in enumerate([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, "inf"]):
        for semantics in ("kernel", "exact"):
            value = 47.0 if semantics == "exact" else 44.0 + 9 * index / (index + 1.5)
            row = dict(alpha=alpha, semantics=semantics, gt_known=value - 2)
            yield dict(row, **_measured(4, max_box_acc=value))


def _image(folder, number, entries, panels, rng):
    """One strip: a bright ellipse, and maps that find more or less of it."""
    y, x = np.mgrid[0:120, 0:160] / 120.0
    center, radius = 0.35 + 0.5 * rng.rand(2), 0.12 + 0.15 * rng.rand()
    blob = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / radius**2)
    image = np.uint8(60 + 30 * rng.rand(120, 160, 1) + 130 * (blob[..., None] > 0.4) * rng.rand(3))
    true_box = 120 * np.array([*(center - radius), *(center + radius)])
    ious, cases, shown = {}, {}, []
    for method, layer in entries:
        name = f"{method}@{layer}"
        ious[name] = None if rng.rand() < 0.03 else float(np.round(rng.beta(2.5, 2), 6))
        case = 0 if (ious[name] or 0) >= 0.5 else rng.randint(1, 4)
        cases[name] = None if ious[name] is None else CASES[case]
        if len(shown) < panels:
            box = true_box + 8 * rng.randn(4)
            shown.append(Entry(name, blob ** rng.uniform(0.5, 3), box, ious[name]))
    file = f"gallery/{number:06d}.jpg"
    write_image(os.path.join(str(folder), file), compose_tile(image, [true_box], shown))
    true_class, other = (CLASSES[(number + i) % len(CLASSES)] for i in (0, 1))
    correct = bool(rng.rand() < 0.7)
    return dict(
        file=file, id=f"val/{true_class}/{number:04d}.jpg", true_class=true_class, correct=correct,
        predicted_class=true_class if correct else other, ious=ious, cases=cases,
        probability=float(rng.uniform(0.4, 1)),
    )  # fmt: skip
