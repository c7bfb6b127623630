"""Ray workers without Ray: flags, share of a cluster, environment, and the batches of one worker."""

import dataclasses
import os
import pickle
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from command_runs import parse
from refusals import check_refusal

from dgl.cli.evaluate import run
from dgl.evaluation.loop import BatchRunner, Evaluation, Task
from dgl.evaluation.plan import fusions_of, load_split, make_plan, predictor_arguments
from dgl.evaluation.ray_workers import (
    Worker,
    _check_answers,
    apply_env,
    fair_share,
    room,
    worker_env,
)
from dgl.predict.predictor import predictor_of


@pytest.mark.parametrize(
    "hosts, workers, gpus, expected",
    [
        ([(2, 0)], 1, 0, 2),
        ([(8, 0)], 3, 0, 2),
        # A worker fits on one host: not 6 each, although there are 12.
        ([(4, 0), (8, 0)], 2, 0, 4),
        ([(4, 0), (8, 0)], 4, 0, 2),
        # Only on hosts with GPUs.
        ([(64, 0), (16, 4)], 4, 1, 4),
        ([(64, 0), (16, 4)], 5, 1, None),
        ([], 1, 0, None),
    ],
)
def test_shares_are_as_large_as_possible(hosts, workers, gpus, expected):
    found = fair_share(hosts, workers, gpus)
    assert found == expected
    if found is not None:
        assert room(hosts, found, gpus) >= workers
        assert room(hosts, found + 1, gpus) < workers


@pytest.mark.parametrize("cores, workers", [(1, 2), (2, 7), (1, 4096)])
def test_more_workers_than_cores_have_fractions_of_one(cores, workers):
    share = fair_share([(cores, 0)], workers)
    assert 0 < share < 1 and room([(cores, 0)], share) >= workers


def test_a_worker_has_the_arithmetic_of_the_driver(monkeypatch):
    driver = {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CONFIG": "{}", "HOME": "/x", "OMP_NUM_THREADS": "5"}
    variables = worker_env(driver)
    assert set(variables) == {"TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"}
    assert int(variables["TF_NUM_INTRAOP_THREADS"]) >= 1
    assert worker_env({"TF_NUM_INTRAOP_THREADS": "3"}) == {"TF_NUM_INTRAOP_THREADS": "3"}
    worker = {"TF_CONFIG": "own", "HOME": "/y", "OMP_NUM_THREADS": "1", "DNNL_VERBOSE": "1"}
    monkeypatch.setattr(os, "environ", dict(worker))
    apply_env(variables)
    assert os.environ == dict(variables, TF_CONFIG="own", HOME="/y")


def test_a_missing_ray_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    args = parse(folder, "--out", tmp_path / "out", "--ray-workers", 2)
    check_refusal("^--ray-workers: expected Ray", run, args)
    assert not (tmp_path / "out").exists()


def test_an_address_without_a_cluster_is_named_at_once():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        check_refusal(f"^--ray-address {address}", _check_answers, address)
        bound.listen(1)
        _check_answers(address)


@pytest.fixture(scope="module")
def task(folder, many):
    """A task, and the results of its batches in one process."""
    args = parse(folder, "--data", many, "--batch", 5, "--clayer", "1-2", "--fuse", "max")
    dataset = load_split(args, "val")
    with predictor_of(gpu="-1", **predictor_arguments(args)) as predictor:
        fusions = fusions_of(args, predictor)
        plan = make_plan(args, predictor, dataset, fusions)
        whole = Task(predictor_arguments(args), dataset, plan, fusions)
        parts = list(BatchRunner(predictor, whole).run([0, 1, 2]))
    whole.arguments["load"] = os.path.abspath(str(folder / "tiny.npz"))
    return whole, {chunk: part.state_dict() for chunk, part in parts}


def test_a_worker_gives_the_batches_of_one_process_in_threads_too(task):
    task, expected = pickle.loads(pickle.dumps(task))
    with ThreadPoolExecutor(len(expected)) as threads:
        found = threads.map(Worker(task, 1, "-1").run, expected)
    assert dict(zip(expected, found)) == expected


def test_another_machine_is_refused_and_strict_names_the_image(task):
    task, _ = task
    versions = {**task.plan.versions, "numpy": "0.1"}
    for change, named in (({"versions": versions}, "numpy"), ({"weights": "x"}, "tiny.npz")):
        other = task._replace(plan=dataclasses.replace(task.plan, **change))
        check_refusal(named, Worker, other, 1, "-1")
    worker = Worker(task._replace(strict=True), 1, "-1")
    check_refusal(r"val3\.jpg", worker.run, 0)


def test_workers_get_absolute_paths(folder, many, monkeypatch):
    monkeypatch.chdir(str(folder))
    tasks = []

    workers = SimpleNamespace(gpus=0, batches_of=tasks.append)
    monkeypatch.setattr("dgl.evaluation.loop.collect", lambda *a, **k: None)
    args = parse(folder, "--load", "tiny.npz", "--data", "many", "--clayer", 1)
    evaluation = Evaluation(args, workers)
    dataset = load_split(args, "val")
    plan = make_plan(args, evaluation.predictor, dataset, [])
    evaluation.run(dataset, plan, [], None, maps_folder="maps")
    evaluation.close()
    (task,) = tasks
    assert task.arguments["load"] == os.path.join(os.getcwd(), "tiny.npz")
    assert task.maps_folder == os.path.join(os.getcwd(), "maps")
    assert task.plan.model["load"] == "tiny.npz"  # as it was given
