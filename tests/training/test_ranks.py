"""Which of several processes this is: told from the environment, with Horovod only where it is needed."""

import os
import subprocess
import sys

import pytest

from dgl.errors import UserError
from dgl.training.distributed import ranks
from dgl.training.distributed.ranks import (
    ALONE,
    Ranks,
    agree_on,
    expect_alike,
    find_ranks,
    launched_size,
    others_may_end,
)


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, (1, None)),
        ({"HOME": "/root"}, (1, None)),
        ({"HOROVOD_SIZE": "4", "HOROVOD_RANK": "1"}, (4, "horovodrun")),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, (3, "mpirun")),
        ({"PMI_SIZE": "2"}, (2, "mpirun")),
        ({"SLURM_STEP_NUM_TASKS": "8"}, (8, "srun")),
        # A batch script's own step, and the tasks of a job that is not a step.
        ({"SLURM_STEP_NUM_TASKS": "1"}, (1, None)),
        ({"SLURM_NTASKS": "8"}, (1, None)),
        # horovodrun below srun: its own number counts, even where it is 1.
        ({"HOROVOD_SIZE": "2", "SLURM_STEP_NUM_TASKS": "8"}, (2, "horovodrun")),
        ({"HOROVOD_SIZE": "1", "SLURM_STEP_NUM_TASKS": "8"}, (1, "horovodrun")),
    ],
)
def test_the_launcher_tells_how_many(environment, expected):
    assert launched_size(environment) == expected


@pytest.mark.parametrize("text", ["", "four", "0", "-2", "1.5"])
def test_a_size_that_is_no_number_is_refused(text):
    with pytest.raises(UserError, match=f"HOROVOD_SIZE={text}: expected a number"):
        launched_size({"HOROVOD_SIZE": text})


def test_a_process_by_itself_is_alone_without_horovod():
    code = "import sys; from dgl.training.distributed.ranks import *; "
    code += "r = find_ranks(); assert r == ALONE and agree_on(r, 7) == 7; "
    code += "from dgl.training.distributed.sync import JointHalting; JointHalting(r); "
    code += "assert 'horovod' not in sys.modules"
    root = os.path.dirname(os.path.dirname(os.path.dirname(ranks.__file__)))
    clean = {k: v for k, v in os.environ.items() if k not in dict(ranks._SIZES)}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=clean, check=True)


def test_several_processes_without_horovod_are_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "horovod", None)
    with pytest.raises(UserError) as caught:
        find_ranks({"HOROVOD_SIZE": "4"})
    text = str(caught.value)
    assert "started by horovodrun as one of 4 processes" in text and "\n" not in text
    assert "expected it in this environment" in text


def test_several_processes_that_horovod_does_not_know_of_are_refused(monkeypatch):
    class Lonely:
        """Horovod built with Gloo, below a launcher that it does not know."""

        @staticmethod
        def init():
            pass

        @staticmethod
        def size():
            return 1

    monkeypatch.setattr(ranks, "_load_horovod", lambda launched: Lonely)
    with pytest.raises(UserError, match="started by srun as one of 4 .* but Horovod counts 1"):
        find_ranks({"SLURM_STEP_NUM_TASKS": "4"})


def test_chief_and_alone():
    assert ALONE.chief and ALONE.alone
    assert Ranks(0, 4, 0, 2).chief and not Ranks(0, 4, 0, 2).alone
    assert not Ranks(2, 4, 0, 2).chief


@pytest.mark.parametrize("cores, local, share", [(8, 1, 8), (8, 2, 4), (7, 2, 3), (2, 4, 1)])
def test_cores_are_shared_out_on_a_host(monkeypatch, cores, local, share):
    monkeypatch.setattr(ranks.multiprocessing, "cpu_count", lambda: cores)
    assert Ranks(0, 16, 0, local).share_of_cores() == share


def test_a_process_by_itself_agrees_with_itself():
    assert agree_on(ALONE, 2**40) == 2**40
    assert agree_on(ALONE, [3, 4]) == [3, 4]
    expect_alike(ALONE, 5, "the train list")


def lost(text):
    return ranks.tf.errors.UnknownError(None, None, text)


def test_a_lost_rank_is_told_in_one_line():
    ended = pytest.raises(UserError, match="rank 1 of 2: another process of the run has ended")
    with ended, others_may_end(Ranks(1, 2, 1, 2)):
        raise lost("Horovod has been shut down.\nThis was caused by an exception.")


@pytest.mark.parametrize(
    "who, error",
    [(ALONE, lost("Horovod has been shut down.")), (Ranks(0, 2, 0, 2), lost("out of luck"))],
)
def test_other_errors_stay_what_they_are(who, error):
    with pytest.raises(ranks.tf.errors.UnknownError), others_may_end(who):
        raise error
