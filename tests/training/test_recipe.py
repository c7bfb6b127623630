"""Flags of the training scripts, the published recipe, and ``--print-recipe``: what a run would do."""

import pytest
from networks import options_of
from small_trainings import build_tower, make_recipe, parse

from dgl.backbones import get_backbone
from dgl.tf_compat import tf
from dgl.training.recipe import VALIDATE_EVERY, decay, describe, multiplier, steps_per_epoch
from dgl.weights.restore import network_variables

RESNET = {"modes": ("resnet", "se"), "depths": (50, 101, 152)}

FLAGS = {
    "gpu": "0,1", "data": "DATA", "logdir": "run", "epoch": 30, "dataname": "cub", "steps": 7,
    "final_size": 320, "chlast": True, "cub": True, "classnum": 201, "batch": 32, "base_lr": 0.002,
    "stepscale": 2.5, "finetune": True, "depth": 101, "mode": "se", "laststride": 2, "val": True,
    "load": "a.npz",
}  # fmt: skip


def test_every_published_flag_parses():
    given = [f"--{name}={value}".replace("=True", "") for name, value in FLAGS.items()]
    args = vars(parse(*(text.replace("_", "-") for text in given), **RESNET))
    assert {**args, "cub": args["data_set"] == "cub"}.items() >= FLAGS.items()
    assert parse("--imagenet").data_set == "imagenet"


def test_defaults():
    args = vars(parse(**RESNET))
    numbers = {"epoch": 105, "batch": 256, "base_lr": 0.01, "watch": 8, "watch_layer": ["1"]}
    network = {"mode": "resnet", "depth": 50, "laststride": 1, "lr_epochs": (10, 20, 30, 40)}
    off = dict.fromkeys("chlast finetune val resume".split(), False)
    names = "gpu dataname data_set steps classnum stepscale load watch_boxes final_size".split()
    expected = {**numbers, **network, **off, **dict.fromkeys(names)}
    assert {name: args[name] for name in expected} == expected


BAD = {
    "--batch": "0 -8 2.5", "--epoch": "0", "--steps": "x", "--final-size": "0", "--base-lr": "0 nan inf",
    "--stepscale": "-1", "--classnum": "0", "--width": "0", "--towers": "0", "--mode": "resnet",
    "--lr-epochs": "20,10 0,10 10,10 ten", "--laststride": "2", "--norm": "gn", "--data-format": "cocoa",
    "--seed": "-1 2147483648", "--watch": "-1", "--watch-boxes": "few",
}  # fmt: skip


@pytest.mark.parametrize("flag", sorted(BAD))
def test_a_bad_value_is_refused_with_its_flag(capsys, flag):
    for value in BAD[flag].split():
        with pytest.raises(SystemExit, match="2"):
            parse(flag, value)
        assert f"argument {flag}: " in capsys.readouterr().err


OPTIONS = options_of("vgg", 200, "cub", width=0.0625)
PUBLISHED = dict(image_size=64, batch=32, towers=2, steps=1000, epochs=30, base_lr=0.002)


def cub_recipe(options=OPTIONS, **changes):
    vgg = get_backbone("vgg")
    rules = {"multipliers": vgg.gradient_multipliers, "weight_decay": vgg.weight_decay}
    return make_recipe("vgg", options, **{**PUBLISHED, **rules, **changes})


@pytest.mark.parametrize(
    "data_set, batch, images, stepscale, steps",
    [
        ("cub", 256, 5994, None, 125),
        ("cub", 48, 1, None, 666),
        ("cub", 32, 5994, 1.0, 200),
        ("imagenet", 256, 1281167, None, 1000),
        ("imagenet", 32, 1281167, 5.0, 200000),
        # Other data: one pass.
        (None, 32, 351, None, 10),
        (None, 32, 320, 2.0, 20),
        (None, 256, 10, None, 1),
        (None, 32, 320, 1e-6, 1),
    ],
)
def test_steps_per_epoch(data_set, batch, images, stepscale, steps):
    assert steps_per_epoch(data_set, batch, images, stepscale) == steps


def test_learning_rate_falls_to_a_tenth_at_each_published_epoch():
    assert VALIDATE_EVERY == 5
    schedule = cub_recipe().schedule
    assert [epoch for epoch, _ in schedule] == [0, 10, 20, 30, 40]
    assert [rate for _, rate in schedule] == pytest.approx([2e-3, 2e-4, 2e-5, 2e-6, 2e-7], rel=1e-9)


def described(recipe, variables=None):
    """(name -> fact, variable -> row of the table)."""
    text = describe(recipe, variables or {"linear/W": (64, 200)}, "DATA", "START")
    facts, table = text.replace("learning rate", "rate").split("\n\n")
    facts = dict(line.split(None, 1) for line in facts.splitlines())
    return facts, {line.split()[0]: line for line in table.splitlines()[2:]}


@pytest.mark.parametrize(
    "changes, name, fact",
    [
        ({"lr_epochs": (3,), "base_lr": 0.5}, "rate", "0.5 from epoch 1, 0.05 from epoch 4"),
        ({}, "batch", "32, 16 on each of 2 towers"),
        ({"towers": 1, "processes": 4}, "batch", "32, 8 in each of 4 processes"),
        ({}, "loss", "mean softmax cross-entropy + 0.0005 * sum(w^2) / 2 over .*/W"),
    ],
)
def test_facts_of_a_recipe(changes, name, fact):
    assert described(cub_recipe(**changes))[0][name] == fact


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_the_table_has_the_variables_that_training_changes(norm):
    recipe = cub_recipe(options_of("vgg", 200, "cub", width=0.0625, norm=norm))
    variables = network_variables(get_backbone("vgg"), recipe.options, trained=True)
    _, table = described(recipe, variables)
    with tf.Graph().as_default():
        build_tower(recipe)
        trained = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
    assert set(table) == set(trained)
    for name, row in table.items():
        assert " {} ".format(" x ".join(map(str, trained[name]))) in row
        factors = (multiplier(recipe, name), decay(recipe, name))
        assert row.split()[-2:] == [f"{factor:g}" for factor in factors]
