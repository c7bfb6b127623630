"""Plans survive JSON, and know their images, thresholds and names of classes."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from command_runs import parse
from made_results import ENTRY, PLAN

from dgl.data.class_names import ClassNames
from dgl.data.sample import DataSet, Sample
from dgl.evaluation.plan import Plan, images_fingerprint, make_plan, predictor_arguments


@pytest.mark.parametrize("change", [{}, {"class_names": None}, {"model": None}])
def test_json_gives_the_plan_back(change):
    plan = dataclasses.replace(PLAN, **change)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan and again.differences(plan) == []


@pytest.mark.parametrize(
    "values", [None, [], {}, dict(PLAN.to_json(), batch=0), dict(PLAN.to_json(), more=1),
               dict(PLAN.to_json(), data={}), dict(PLAN.to_json(), protocols=["own"])]
)  # fmt: skip
def test_what_is_no_plan_is_refused(values):
    with pytest.raises(ValueError, match="not a plan"):
        Plan.from_json(values)


def test_chunks_entries_and_evaluators():
    assert PLAN.chunks == 3
    assert PLAN.all_entries == [ENTRY, ("cam", "add"), ("dgl(pa=1)", "conv5_3")]
    fixed = [PLAN.localization_evaluator("fixed_threshold", e) for e in PLAN.entries]
    assert [evaluator.settings["threshold"] for evaluator in fixed] == [0.2, 0.4]
    wsol = PLAN.localization_evaluator("wsolevaluation", ENTRY)
    wsol.add_found([wsol.localize(np.eye(8), [[0, 0, 3, 3]])])
    assert wsol.result()["tuned_threshold"] == 0.15


def test_the_list_of_images_has_a_fingerprint():
    sample = Sample("a.jpg", "/x/a.jpg", 0, ((1.0, 2.0, 3.0, 4.0),))
    same = images_fingerprint([sample, sample])
    assert same == images_fingerprint([dataclasses.replace(sample, path="/y/a.jpg"), sample])
    for change in (
        {"id": "b.jpg"}, {"class_index": 1}, {"mask_paths": ("/m/a.png",)},
        {"boxes": ((1.0, 2.0, 3.0, 5.0),)},
    ):  # fmt: skip
        assert images_fingerprint([sample, dataclasses.replace(sample, **change)]) != same
    assert images_fingerprint([sample]) != same


@pytest.mark.parametrize(
    "of_data, of_network, names",
    [
        (("a", "b"), ("c", "d"), ("a", "b")),
        (None, ("c", "d"), ("c", "d")),
        (("n02123045", "n02088094"), (), ("tabby", "Afghan hound")),
    ],
)
def test_names_of_classes(folder, of_data, of_network, names):
    predictor = SimpleNamespace(
        entries=[("cam", "add")], classes=2, class_names=ClassNames(of_network), image_size=64,
        options=SimpleNamespace(width=1.0, norm="none"), path=str(folder / "tiny.npz"),
    )  # fmt: skip
    samples = [Sample("a.jpg", "a.jpg", 1)]
    data = DataSet("toys", "folder", "val", samples, of_data, 2)
    assert make_plan(parse(folder), predictor, data, []).class_names == names


def test_only_mirrored_runs_say_so(folder):
    assert predictor_arguments(parse(folder, "--flip"))["flip"]
    assert not predictor_arguments(parse(folder))["flip"]
