"""The recipe as tensorpack gets it: sessions that use every core, callbacks, towers."""

import pytest
from deterministic import picture
from tiny import write_list

from dgl.backbones import BuildOptions
from dgl.data.flows import training_flow
from dgl.data.layouts import load_data
from dgl.training.recipe import Recipe
from dgl.training.resume import Point, beginning
from dgl.training.trainer import configure, new_run

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.utils import logger  # isort: skip


@pytest.fixture
def data(tmp_path):
    logger.set_logger_dir(str(tmp_path / "log"), action="d")
    write_list(tmp_path / "data", "val", [("0.jpg", picture(1, 50, 60), 0, ())])
    return load_data(str(tmp_path / "data"), "val")


def configured(data, towers=1, run=(), **settings):
    recipe = Recipe("vgg", BuildOptions(classes=2, head="linear"), 32, 2, towers, 5, 3, 0.01)
    run = new_run(logger.get_logger_dir(), beginning(recipe.steps))._replace(**dict(run))
    return configure(recipe, training_flow(data.samples, 32, 2, 0), data, run, **settings)


@pytest.mark.parametrize("towers", [1, 2])
def test_operations_may_use_every_core(data, towers):
    config, trainer = configured(data, towers)
    options = config.session_creator.config
    # Zero stands for as many as there are.
    assert (options.intra_op_parallelism_threads, options.inter_op_parallelism_threads) == (0, 0)
    assert options.allow_soft_placement
    assert trainer.GATE_GRADIENTS
    assert len(getattr(trainer, "devices", [0])) == towers


def test_callbacks_come_after_the_recipe_s_own(data):
    more = Callback()
    (config, _), (plain, _) = configured(data, callbacks=[more]), configured(data)
    assert config.callbacks[-1] is more
    assert len(config.callbacks) == len(plain.callbacks) + 1


def test_epochs_are_those_left(data):
    config, _ = configured(data, run={"point": Point(None, 8, 2, 2, [])})
    assert (config.starting_epoch, config.max_epoch, config.steps_per_epoch) == (2, 3, 5)
