"""The numbers of the published recipe, and ``--print-recipe``: every line is what a run would do."""

import pytest

from dgl.backbones import BuildOptions, get_backbone
from dgl.tf_compat import tf
from dgl.training.model import ClassifierModel
from dgl.training.recipe import (
    LR_EPOCHS,
    MOMENTUM,
    VALIDATE_EVERY,
    Recipe,
    decay,
    describe,
    multiplier,
    steps_per_epoch,
)
from dgl.weights.restore import network_variables

from tensorpack.tfutils.tower import TowerContext  # isort: skip

SIZE = 64


def make_recipe(mode="vgg", classes=200, **changes):
    backbone = get_backbone(mode)
    settings = {
        "mode": mode,
        "options": BuildOptions(classes, backbone.head_name("cub", classes), width=0.0625),
        "image_size": SIZE,
        "batch": 32,
        "towers": 2,
        "steps": 1000,
        "epochs": 30,
        "base_lr": 0.002,
        "multipliers": backbone.gradient_multipliers,
        "weight_decay": backbone.weight_decay,
    }
    return Recipe(**{**settings, **changes})


@pytest.mark.parametrize(
    "data_set, batch, images, stepscale, steps",
    [
        ("cub", 256, 5994, None, 125),
        ("cub", 32, 5994, None, 1000),
        ("cub", 48, 1, None, 666),
        ("cub", 32, 5994, 1.0, 200),
        ("imagenet", 256, 1281167, None, 1000),
        ("imagenet", 32, 1, None, 8000),
        ("imagenet", 32, 1281167, 5.0, 200000),
        # Other data: one pass.
        (None, 32, 351, None, 10),
        (None, 1, 7, None, 7),
        (None, 32, 320, 2.0, 20),
        (None, 256, 10, None, 1),
        (None, 32, 320, 1e-6, 1),
    ],
)
def test_steps_per_epoch(data_set, batch, images, stepscale, steps):
    assert steps_per_epoch(data_set, batch, images, stepscale) == steps


def test_learning_rate_falls_to_a_tenth_at_each_published_epoch():
    assert (LR_EPOCHS, MOMENTUM, VALIDATE_EVERY) == ((10, 20, 30, 40), 0.9, 5)
    schedule = make_recipe(base_lr=0.002).schedule
    assert [epoch for epoch, _ in schedule] == [0, 10, 20, 30, 40]
    assert [rate for _, rate in schedule] == pytest.approx([2e-3, 2e-4, 2e-5, 2e-6, 2e-7], rel=1e-9)


def described(recipe, variables=None):
    """(name -> fact, variable -> row of the table)."""
    variables = variables or {"linear/W": (64, 200)}
    facts, table = describe(recipe, variables, "DATA", "START").split("\n\n")
    facts = dict(
        line.split(None, 1) for line in facts.replace("learning rate", "rate").splitlines()
    )
    return facts, {line.split()[0]: line for line in table.splitlines()[2:]}


@pytest.mark.parametrize(
    "changes, name, fact",
    [
        ({}, "data", "DATA"),
        ({}, "rate", "0.002 from epoch 1, 0.0002 from epoch 11, 2e-05 from epoch 21"),
        ({"lr_epochs": (3,), "base_lr": 0.5}, "rate", "0.5 from epoch 1, 0.05 from epoch 4"),
        ({}, "batch", "32, 16 on each of 2 towers"),
        ({"towers": 1, "processes": 4}, "batch", "32, 8 in each of 4 processes"),
        ({}, "length", "1000 steps per epoch, 30 epochs, 30000 steps in all"),
        ({}, "loss", "mean softmax cross-entropy + 0.0005 * sum(w^2) / 2 over .*/W"),
        ({}, "input", "BGR, minus (103.53, 116.28, 123.675), divided by (57.375, 57.12, 58.395)"),
    ],
)
def test_facts_of_a_recipe(changes, name, fact):
    assert described(make_recipe(**changes))[0][name] == fact


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_the_table_has_the_variables_that_training_changes(norm):
    recipe = make_recipe(options=BuildOptions(200, "linear_cub", width=0.0625, norm=norm))
    variables = network_variables(get_backbone("vgg"), recipe.options, SIZE, trained=True)
    _, table = described(recipe, variables)
    with tf.Graph().as_default():
        model = ClassifierModel(recipe)
        image = tf.placeholder(tf.uint8, [2, SIZE, SIZE, 3])
        with TowerContext("", is_training=True):
            model.build_graph(image, tf.placeholder(tf.int32, [2]))
        trained = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
    assert set(table) == set(trained)
    for name, row in table.items():
        assert " {} ".format(" x ".join(map(str, trained[name]))) in row
        assert row.split()[-2:] == [
            f"{value:g}" for value in (multiplier(recipe, name), decay(recipe, name))
        ]
