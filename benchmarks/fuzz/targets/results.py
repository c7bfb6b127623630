"""Files stored by evaluations and trainings: plan, results, statistics."""

import json
import os

from benchmarks.fuzz.samples import made_results
from benchmarks.fuzz.target import Target, place
from dgl.evaluation.plan import Plan
from dgl.evaluation.results import RECORDS, Results, read_records
from dgl.training.log_folder import FILE_NAME, read_rows


def _results(data, folder):
    results = read_records(os.path.dirname(place(folder, RECORDS, data)))
    assert isinstance(results, Results)
    # What was read can be written and read again, and asked for its figures.
    again = Results.from_state(results.plan, json.loads(json.dumps(results.state_dict())))
    assert len(again) == len(results) and again.positions == results.positions
    for evaluator in results.localization.values():
        if evaluator.images:
            evaluator.result()


def _result_seeds():
    seeds = []
    for plan, positions, broken in (
        (made_results.PLAIN, range(3), ()),
        (made_results.PLAIN, range(2), (1,)),
        (made_results.PLAN, (), ()),
    ):
        results = made_results.filled(positions, plan, broken)
        record = {"plan": plan.to_json(), "results": results.state_dict()}
        seeds.append(json.dumps(record).encode("utf-8"))
    return seeds


def _plan(data, folder):
    try:
        plan = Plan.from_json(json.loads(data.decode("utf-8")))
    except (ValueError, RecursionError):  # what the callers turn into a line with the file's name
        return
    assert plan.chunks >= 1
    assert b"NaN" in data or plan.differences(plan) == []  # NaN differs from itself
    Results(plan)


def _plan_seeds():
    plans = (made_results.PLAN, made_results.PLAIN)
    return [json.dumps(plan.to_json()).encode("utf-8") for plan in plans]


def _statistics(data, folder):
    for row in read_rows(os.path.dirname(place(folder, FILE_NAME, data))):
        assert isinstance(row["epoch_num"], int) and isinstance(row["global_step"], int)


def _statistics_seeds():
    row = '{"epoch_num": 1, "global_step": 10, "cost": 0.5}'
    return [text.encode("utf-8") for text in ("[]", f"[{row}]", f"[{row}, {row}]")]


_JSON = (b"null", b"true", b"NaN", b"-1", b"1e400", b"[]", b"{}", b'""', b"[[[[", b"[null]", b"0.5")

TARGETS = (
    Target("results", _results, _result_seeds,
           _JSON + (b'"rows": 1', b'"ids"', b'"columns"', b'"evaluators"', b'"plan"'), 16384),
    Target("plan", _plan, _plan_seeds, _JSON + (b'"step"', b'"classes"', b'"thresholds"')),
    Target("statistics", _statistics, _statistics_seeds, _JSON),
)  # fmt: skip
