"""The worker's side: a session that is kept, and what is refused."""

import os
import pickle
import threading

import pytest
from command_runs import parse

from dgl.errors import UserError
from dgl.evaluation.results import Gathered
from dgl.evaluation.runner import Runner
from dgl.evaluation.setup import fusions_of, load_split, make_plan, predictor_arguments
from dgl.evaluation.worker import DONE, REFUSED, Task, Worker, answer
from dgl.predict import predictor as predictors


@pytest.fixture(scope="module")
def task(folder, many):
    args = parse(folder, "--data", many, "--batch", 5, "--clayer", "1-2", "--fuse", "max")
    dataset = load_split(args, "val")
    with predictors.Predictor(gpu="-1", **predictor_arguments(args)) as predictor:
        fusions = fusions_of(args, predictor)
        plan = make_plan(args, predictor, dataset, fusions)
        whole = Task(predictor_arguments(args), dataset, plan, fusions)
        parts = list(whole.evaluation(predictor, 2).parts([0, 1, 2]))
    whole.arguments["load"] = os.path.abspath(str(folder / "tiny.npz"))
    return whole, {chunk: part.state_dict() for chunk, part in parts}


def test_batches_are_those_of_one_run_in_threads_too(task):
    task, expected = pickle.loads(pickle.dumps(task))
    worker, found = Worker(1, "-1"), {}
    worker.start(task)

    def run(chunk):
        found[chunk] = worker.run(chunk)

    threads = [threading.Thread(target=run, args=(chunk,)) for chunk in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worker.close()
    assert found == expected
    assert len(Gathered.from_state(task.plan, found[0]).errors) == 1


def test_the_session_is_kept_for_the_next_task(task, monkeypatch):
    built = []

    class Counted(predictors.Predictor):
        def __init__(self, **arguments):
            built.append(arguments["extra"])
            super().__init__(**arguments)

    monkeypatch.setattr(predictors, "Predictor", Counted)
    task, _ = task
    worker = Worker(1, "-1")
    worker.start(task)
    worker.start(pickle.loads(pickle.dumps(task)))
    assert len(built) == 1
    more = dict(task.arguments, extra=[("dgl(pa=1)", "conv5_3")])
    worker.start(task._replace(arguments=more))
    assert built == [[], [("dgl(pa=1)", "conv5_3")]]
    worker.close()


def test_another_machine_is_refused(task):
    task, _ = task
    worker = Worker(1, "-1")
    for replaced, message in (
        (
            {"versions": dict(task.plan.versions, numpy="0.1")},
            "has numpy .*, expected 0.1 as where",
        ),
        (
            {"weights": "other"},
            r"tiny\.npz: other weights for a worker than where the command runs",
        ),
    ):
        plan = type(task.plan)(**dict(vars(task.plan), **replaced))
        kind, found = answer(worker.start, task._replace(plan=plan))
        assert kind == REFUSED
        with pytest.raises(UserError, match=message):
            raise UserError(found)
    gone = dict(task.arguments, load="/nowhere/tiny.npz")
    kind, found = answer(worker.start, task._replace(arguments=gone))
    assert kind == REFUSED and "/nowhere/tiny.npz: no such checkpoint" in found
    assert answer(worker.start, task)[0] == DONE
    worker.close()


def test_strict_names_the_picture(task):
    task, _ = task
    worker = Worker(1, "-1")
    worker.start(task._replace(strict=True))
    assert answer(worker.run, 1)[0] == DONE
    kind, found = answer(worker.run, 0)
    assert kind == REFUSED and "val3.jpg" in found and "\n" not in found
    worker.close()


def test_what_is_no_bad_input_is_no_answer():
    with pytest.raises(ZeroDivisionError):
        answer(lambda: 1 // 0)


def test_workers_get_paths_that_hold_everywhere(folder, many, tmp_path, monkeypatch):
    monkeypatch.chdir(str(folder))
    tasks = []

    class Pool:
        size, gpus = 1, 0

    def dispatched(pool, task, chunks):
        tasks.append(task)
        return iter(())

    monkeypatch.setattr("dgl.evaluation.runner.dispatch", dispatched)
    monkeypatch.setattr("dgl.evaluation.runner.gather", lambda p, d, parts, *_: parts([]))
    args = parse(folder, "--load", "tiny.npz", "--data", "many", "--clayer", 1)
    runner = Runner(args, Pool())
    dataset = load_split(args, "val")
    plan = make_plan(args, runner.predictor, dataset, [])
    runner.run(dataset, plan, [], None, maps_folder="maps")
    runner.close()
    (task,) = tasks
    assert task.arguments["load"] == os.path.join(os.getcwd(), "tiny.npz")
    assert task.maps_folder == os.path.join(os.getcwd(), "maps")
    assert all(os.path.isabs(sample.path) for sample in task.dataset.samples)
    # What goes into the results is as it was given.
    assert task.plan.model["load"] == "tiny.npz"
