"""A recipe as tensorpack gets it: sessions that use every core, towers, ranks, callbacks of an epoch."""

from types import SimpleNamespace

import fake_horovod
import pytest
from sample_images import write_list
from small_trainings import make_recipe, rows_of

from dgl.data.flows import training_flow
from dgl.data.layouts import load_data
from dgl.training import trainer as module
from dgl.training.checkpointing import ResumePoint
from dgl.training.distributed import Ranks
from dgl.training.log_folder import THROUGHPUT
from dgl.training.trainer import (
    Run,
    Throughput,
    configure,
    validates_after,
)

from tensorpack.utils import logger  # isort: skip


@pytest.fixture
def configured(tmp_path):
    logger.set_logger_dir(str(tmp_path / "log"), action="d")
    write_list(tmp_path / "data", "val", rows_of(1))
    data = load_data(str(tmp_path / "data"), "val")

    def call(towers=1, **ranks):
        run = Run(logger.get_logger_dir(), ResumePoint(5), **ranks)
        flow = training_flow(data.samples, 32, 2, 0)
        return configure(make_recipe(towers=towers, steps=5), flow, data, run)

    return call


@pytest.mark.parametrize("towers", [1, 2])
def test_operations_may_use_every_core(configured, towers):
    config, trainer = configured(towers)
    options = config.session_creator.config
    assert options.intra_op_parallelism_threads == 0  # all of them
    # One operation of each tower waits in its thread.
    assert (options.inter_op_parallelism_threads > towers) == (towers > 1)
    assert options.allow_soft_placement
    assert trainer.GATE_GRADIENTS
    assert len(getattr(trainer, "devices", [0])) == towers


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_chief_of_several_ranks_writes(configured, monkeypatch, rank):
    hvd = fake_horovod.install(monkeypatch, 2)
    monkeypatch.setattr(hvd, "rank", lambda: rank)
    monkeypatch.setattr("horovod.__version__", "0.28.1", raising=False)
    config, trainer = configured(ranks=Ranks(rank, 2, rank, 2))
    assert trainer.is_chief == bool(config.monitors) == (rank == 0)
    assert rank == 0 or not any(callback.chief_only for callback in config.callbacks)
    assert trainer.GATE_GRADIENTS


@pytest.mark.parametrize("last, expected", [(12, [5, 10, 12]), (10, [5, 10]), (3, [3])])
def test_validation_every_few_epochs_and_after_the_last(last, expected):
    assert [epoch for epoch in range(1, last + 1) if validates_after(epoch, last)] == expected


@pytest.mark.parametrize("steps, expected", [(10, {THROUGHPUT: 80.0}), (0, {})])
def test_images_per_second_of_an_epoch(monkeypatch, steps, expected):
    clock, scalars = SimpleNamespace(now=100.0), {}
    monkeypatch.setattr(module.time, "time", lambda: clock.now)
    throughput = Throughput(batch=32)
    throughput.trainer = SimpleNamespace(
        monitors=SimpleNamespace(put_scalar=scalars.__setitem__),
        loop=SimpleNamespace(steps_per_epoch=steps),
    )
    throughput.before_epoch()
    throughput.trainer.loop.steps_per_epoch = 50  # that of the next epoch
    clock.now += 4
    throughput.after_epoch()
    assert scalars == pytest.approx(expected)
