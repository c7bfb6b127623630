"""A recipe as tensorpack gets it: sessions that use every core, callbacks, towers, ranks."""

import fake_horovod
import pytest
from sample_images import write_list
from small_trainings import make_recipe, rows_of

from dgl.data.flows import training_flow
from dgl.data.layouts import load_data
from dgl.training.checkpointing import ResumePoint
from dgl.training.distributed import Ranks
from dgl.training.trainer import Run, configure

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.utils import logger  # isort: skip

START = ResumePoint(5)


@pytest.fixture
def configured(tmp_path):
    logger.set_logger_dir(str(tmp_path / "log"), action="d")
    write_list(tmp_path / "data", "val", rows_of(1))
    data = load_data(str(tmp_path / "data"), "val")

    def call(towers=1, point=START, callbacks=(), **run):
        recipe = make_recipe(towers=towers, steps=5, epochs=3)
        flow = training_flow(data.samples, 32, 2, 0)
        run = Run(logger.get_logger_dir(), point, **run)
        return configure(recipe, flow, data, run, callbacks=callbacks)

    return call


@pytest.mark.parametrize("towers", [1, 2])
def test_operations_may_use_every_core(configured, towers):
    config, trainer = configured(towers)
    options = config.session_creator.config
    # 0: all of them
    assert (options.intra_op_parallelism_threads, options.inter_op_parallelism_threads) == (0, 0)
    assert options.allow_soft_placement
    assert trainer.GATE_GRADIENTS
    assert len(getattr(trainer, "devices", [0])) == towers


def test_more_callbacks_and_a_later_beginning(configured):
    more = Callback()
    config, _ = configured(point=ResumePoint(2, 2, 8), callbacks=[more])
    assert config.callbacks[-1] is more
    assert (config.starting_epoch, config.max_epoch, config.steps_per_epoch) == (2, 3, 5)


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_chief_of_several_ranks_writes(configured, monkeypatch, rank):
    hvd = fake_horovod.install(monkeypatch, 2)
    monkeypatch.setattr(hvd, "rank", lambda: rank)
    monkeypatch.setattr("horovod.__version__", "0.28.1", raising=False)
    config, trainer = configured(ranks=Ranks(rank, 2, rank, 2))
    assert trainer.is_chief == bool(config.monitors) == (rank == 0)
    assert rank == 0 or not any(callback.chief_only for callback in config.callbacks)
    assert trainer.GATE_GRADIENTS
