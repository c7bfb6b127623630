"""The numbers of the published recipe."""

import pytest

from dgl.backbones import BuildOptions
from dgl.training.recipe import LR_EPOCHS, MOMENTUM, VALIDATE_EVERY, Recipe, steps_per_epoch


def make_recipe(classes=200, base_lr=0.01, **changes):
    return Recipe(
        mode="vgg",
        options=BuildOptions(classes=classes, head="linear"),
        image_size=224,
        batch=32,
        towers=1,
        steps=1000,
        epochs=30,
        base_lr=base_lr,
        **changes,
    )


@pytest.mark.parametrize(
    "data_set, batch, steps",
    [
        ("cub", 256, 125),
        ("cub", 32, 1000),
        ("cub", 64, 500),
        ("cub", 48, 666),
        ("imagenet", 256, 1000),
        ("imagenet", 32, 8000),
        ("imagenet", 128, 2000),
    ],
)
def test_steps_of_the_published_data_sets(data_set, batch, steps):
    # The size of the list plays no part there.
    assert steps_per_epoch(data_set, batch, 5994) == steps
    assert steps_per_epoch(data_set, batch, 1) == steps


@pytest.mark.parametrize(
    "data_set, stepscale, steps",
    [("cub", 1.0, 200), ("cub", 0.5, 100), ("imagenet", 1.0, 40000), ("imagenet", 5.0, 200000)],
)
def test_stepscale_takes_the_place_of_the_data_set_s_factor(data_set, stepscale, steps):
    assert steps_per_epoch(data_set, 32, 5994, stepscale) == steps


@pytest.mark.parametrize(
    "batch, pictures, stepscale, steps",
    [
        (32, 320, None, 10),
        (32, 351, None, 10),
        (1, 7, None, 7),
        (32, 320, 2.0, 20),
        (32, 320, 0.5, 5),
        (256, 10, None, 1),
        (32, 320, 1e-6, 1),
    ],
)
def test_other_data_are_passed_through_once(batch, pictures, stepscale, steps):
    assert steps_per_epoch(None, batch, pictures, stepscale) == steps


def test_learning_rate_falls_to_a_tenth_at_each_published_epoch():
    assert LR_EPOCHS == (10, 20, 30, 40)
    schedule = make_recipe(base_lr=0.002).schedule
    assert [epoch for epoch, _ in schedule] == [0, 10, 20, 30, 40]
    assert [rate for _, rate in schedule] == pytest.approx([2e-3, 2e-4, 2e-5, 2e-6, 2e-7], rel=1e-9)


@pytest.mark.parametrize("epochs, expected", [((), [(0, 0.5)]), ((3,), [(0, 0.5), (3, 0.05)])])
def test_learning_rate_follows_other_epochs(epochs, expected):
    schedule = make_recipe(base_lr=0.5, lr_epochs=epochs).schedule
    assert [epoch for epoch, _ in schedule] == [epoch for epoch, _ in expected]
    assert [rate for _, rate in schedule] == pytest.approx([rate for _, rate in expected])


@pytest.mark.parametrize("classes, shown", [(2, False), (5, False), (6, True), (1000, True)])
def test_top5_from_six_classes_on(classes, shown):
    assert make_recipe(classes).with_top5 is shown


def test_published_constants():
    assert (MOMENTUM, VALIDATE_EVERY) == (0.9, 5)
