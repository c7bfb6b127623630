"""A plan of an evaluation and results made up for it, the same for the same images."""

import dataclasses

import numpy as np

from dgl.evaluation.plan import Plan
from dgl.evaluation.results import Results, image_key

ENTRY = ("dgl", "conv5_3")
PLAN = Plan(
    protocols=("fixed_threshold", "wsolevaluation"), entries=(ENTRY, ("cam", "add")),
    alpha_entries=(("dgl(pa=1)", "conv5_3"), ENTRY), threshold=0.2,
    thresholds={"wsolevaluation": {"dgl@conv5_3": 0.15}, "fixed_threshold": {"cam@add": 0.4}},
    selecting=False, step=0.01, batch=8, masks=True, classes=7, model={"mode": "vgg"},
    data={"name": "x", "images": 17}, versions={}, class_names=("a", "b"), pictures="p", weights="w",
)  # fmt: skip
PLAIN = dataclasses.replace(PLAN, alpha_entries=(), thresholds={}, masks=False)


def filled(positions, plan=PLAIN, broken=(), seed=0):
    """Results of some images, the same for the same positions and seed."""
    results = Results(plan)
    for position in positions:
        key = image_key(position)
        if position in broken:
            results.errors[key] = (f"{position}.jpg", "no image")
            continue
        rng = np.random.RandomState(1000 * seed + position)
        score_map = rng.rand(12, 12)
        logits = rng.rand(plan.classes)
        for evaluator in results.classification.values():
            evaluator.add(logits, 1, key)
        for evaluator in results.localization.values():
            kind = {"logits": logits, "labels": 1} if evaluator.name == "fixed_threshold" else {}
            evaluator.add(score_map, [[2, 2, 8, 9]], ids=key, **kind)
        columns = results.images.state_dict()["columns"]
        results.images.append([key], **{name: [position] for name in columns})
        results.names[key] = f"{position}.jpg"
    return results
