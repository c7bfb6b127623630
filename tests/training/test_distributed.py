"""Ranks and their share of a host; what several processes compute is in test_horovod.py."""

import sys

import fake_horovod
import pytest
from refusals import check_refusal

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training import distributed
from dgl.training.distributed import (
    LAUNCHERS,
    SINGLE,
    Ranks,
    explain_lost_rank,
    find_ranks,
    from_chief,
    launched_size,
    require_same,
    share_host,
)
from dgl.training.early_stop import EarlyStop


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, (1, None)),
        ({"HOROVOD_SIZE": "4", "HOROVOD_RANK": "1"}, (4, "horovodrun")),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, (3, "mpirun")),
        ({"PMI_SIZE": "2"}, (2, "mpirun")),
        ({"SLURM_STEP_NUM_TASKS": "8"}, (8, "srun")),
        # The step of a batch script, and the tasks of a job that is not a step.
        ({"SLURM_STEP_NUM_TASKS": "1"}, (1, None)),
        ({"SLURM_NTASKS": "8"}, (1, None)),
        # horovodrun below srun: its own number counts, even 1.
        ({"HOROVOD_SIZE": "2", "SLURM_STEP_NUM_TASKS": "8"}, (2, "horovodrun")),
        ({"HOROVOD_SIZE": "1", "SLURM_STEP_NUM_TASKS": "8"}, (1, "horovodrun")),
    ],
)
def test_size_from_the_environment(environment, expected):
    assert launched_size(environment) == expected


@pytest.mark.parametrize("text", ["", "four", "0", "-2"])
def test_a_bad_size_is_refused(text):
    check_refusal(f"HOROVOD_SIZE={text}", launched_size, {"HOROVOD_SIZE": text})


def test_a_single_process_does_not_load_horovod(monkeypatch):
    monkeypatch.setitem(sys.modules, "horovod", None)  # imports of it fail
    for launcher in LAUNCHERS:
        monkeypatch.delenv(launcher, raising=False)
    ranks = find_ranks()
    assert ranks == SINGLE and from_chief(ranks, 7) == 7
    EarlyStop(ranks)


def test_several_processes_with_horovod(monkeypatch):
    fake_horovod.install(monkeypatch, 2)
    ranks = find_ranks({"HOROVOD_SIZE": "2"})
    assert ranks == Ranks(0, 2, 0, 2) and ranks.chief and not ranks.single
    assert from_chief(ranks, [3, 2**40]) == [3, 2**40]
    require_same(ranks, 5, "the train list")
    monkeypatch.setattr(distributed, "from_chief", lambda *_: 6)
    check_refusal("rank 0 of 2: the train list", require_same, ranks, 5, "the train list")


@pytest.mark.parametrize(
    "environment, counted, message",
    [
        ({"HOROVOD_SIZE": "4"}, None, r"horovodrun as one of 4 processes.*docs/scaling\.md"),
        ({"HOROVOD_SIZE": "4"}, 0, "as one of 4 processes.*division by zero"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, 1, "srun as one of 4 .* counts 1"),
    ],
    ids=["no Horovod", "no connection", "not counted"],
)
def test_processes_that_horovod_does_not_connect(monkeypatch, environment, counted, message):
    fake_horovod.install(monkeypatch, counted).init = lambda: 1 / counted
    if counted is None:
        monkeypatch.setitem(sys.modules, "horovod", None)
    check_refusal(message, find_ranks, environment)


@pytest.mark.parametrize(
    "ranks, text, error, message",
    [
        (Ranks(1, 2, 1, 2), "Horovod has\nbeen shut down", UserError, "rank 1 of 2: .*--resume"),
        (SINGLE, "Horovod has been shut down", tf.errors.UnknownError, "shut down"),
        (Ranks(0, 2, 0, 2), "out of luck", tf.errors.UnknownError, "out of luck"),
    ],
)
def test_a_lost_rank_is_explained(ranks, text, error, message):
    with pytest.raises(error, match=message), explain_lost_rank(ranks):
        raise tf.errors.UnknownError(None, None, text)


@pytest.mark.parametrize("local, share, limit", [(1, 6, 0), (2, 3, 3), (4, 1, 1), (12, 1, 1)])
def test_a_session_gets_its_share_of_the_cores(monkeypatch, local, share, limit):
    monkeypatch.setattr(distributed.multiprocessing, "cpu_count", lambda: 6)
    ranks = Ranks(1, 16, 0, local)
    config = tf.ConfigProto()
    share_host(config, ranks, 0)
    assert ranks.cores() == share
    assert config.intra_op_parallelism_threads == config.inter_op_parallelism_threads == limit
    assert config.gpu_options.visible_device_list == "" and config.device_count["GPU"] == 0


def test_each_process_of_a_host_has_its_gpu():
    config = tf.ConfigProto()
    share_host(config, Ranks(5, 8, 1, 4), 4)
    assert config.gpu_options.visible_device_list == "1" and "GPU" not in config.device_count
    check_refusal(r"4 processes .* 2 GPUs", share_host, config, Ranks(5, 8, 1, 4), 2)
