"""The flags of the training scripts: the published ones, their defaults, and bad values."""

import pytest
from train_flags import RESNET, parse

PUBLISHED = [
    "--gpu",
    "--data",
    "--logdir",
    "--epoch",
    "--dataname",
    "--steps",
    "--final-size",
    "--chlast",
    "--cub",
    "--imagenet",
    "--classnum",
    "--batch",
    "--base-lr",
    "--stepscale",
    "--finetune",
    "--depth",
    "--mode",
    "--laststride",
    "--val",
    "--load",
]


def rejected(capsys, *flags, **parser):
    """What argparse prints about flags that it refuses."""
    with pytest.raises(SystemExit) as caught:
        parse(*flags, **parser)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_every_published_flag_parses():
    args = parse(
        *[
            "--gpu",
            "0,1",
            "--logdir",
            "run",
            "--epoch",
            "30",
            "--dataname",
            "cub",
            "--steps",
            "7",
            "--final-size",
            "320",
            "--chlast",
            "--cub",
            "--classnum",
            "201",
            "--batch",
            "32",
            "--base-lr",
            "0.002",
            "--stepscale",
            "2.5",
            "--finetune",
            "--depth",
            "101",
            "--mode",
            "se",
            "--laststride",
            "2",
            "--val",
            "--load",
            "a.npz",
        ],
        **RESNET,
    )
    expected = {
        "gpu": "0,1", "data": "DATA", "logdir": "run", "epoch": 30, "dataname": "cub", "steps": 7, "final_size": 320,
        "chlast": True, "cub": True, "imagenet": False, "classnum": 201, "batch": 32, "base_lr": 0.002,
        "stepscale": 2.5, "finetune": True, "depth": 101, "mode": "se", "laststride": 2, "val": True, "load": "a.npz",
    }  # fmt: skip
    assert {name: getattr(args, name) for name in expected} == expected
    assert {"--" + name.replace("_", "-") for name in expected} | {"--imagenet"} == set(PUBLISHED)
    assert parse("--imagenet").imagenet is True


def test_published_defaults():
    args = parse()
    assert (args.epoch, args.batch, args.base_lr, args.final_size) == (105, 256, 0.01, 224)
    assert not any((args.chlast, args.cub, args.imagenet, args.finetune, args.val, args.resume))
    for name in ("gpu", "dataname", "steps", "classnum", "stepscale", "load"):
        assert getattr(args, name) is None
    assert args.lr_epochs == (10, 20, 30, 40)
    resnet = parse(**RESNET)
    assert (resnet.mode, resnet.depth, resnet.laststride) == ("resnet", 50, 1)


@pytest.mark.parametrize(
    "flags",
    [
        ("--batch", "0"),
        ("--batch", "-8"),
        ("--batch", "2.5"),
        ("--epoch", "0"),
        ("--steps", "x"),
        ("--final-size", "0"),
        ("--base-lr", "0"),
        ("--base-lr", "nan"),
        ("--base-lr", "inf"),
        ("--stepscale", "-1"),
        ("--classnum", "0"),
        ("--width", "0"),
        ("--towers", "0"),
        ("--lr-epochs", "20,10"),
        ("--lr-epochs", "0,10"),
        ("--lr-epochs", "10,10"),
        ("--lr-epochs", "ten"),
        ("--mode", "resnet"),
        ("--laststride", "2"),
        ("--norm", "gn"),
        ("--data-format", "coco"),
        ("--seed", "-1"),
        ("--seed", "2147483648"),
        ("--watch", "-1"),
        ("--watch-boxes", "few"),
    ],
)
def test_a_bad_value_is_refused_with_its_flag(capsys, flags):
    assert f"argument {flags[0]}: " in rejected(capsys, *flags)


def test_cub_and_imagenet_exclude_each_other(capsys):
    assert "not allowed with argument --cub" in rejected(capsys, "--cub", "--imagenet")


@pytest.mark.parametrize("flags", [("--depth", "18"), ("--laststride", "3"), ("--mode", "vgg")])
def test_resnets_have_their_choices(capsys, flags):
    assert f"argument {flags[0]}: invalid choice" in rejected(capsys, *flags, **RESNET)


@pytest.mark.parametrize("text, epochs", [("3", (3,)), ("25,34", (25, 34)), ("", ())])
def test_lr_epochs(text, epochs):
    assert parse("--lr-epochs", text).lr_epochs == epochs


def test_watching_is_on_by_default():
    args = parse()
    assert (args.watch, args.watch_layer, args.watch_boxes) == (8, ["1"], None)
    args = parse("--watch", "0", "--watch-layer", "1-3", "add", "--watch-boxes", "50")
    assert (args.watch, args.watch_layer, args.watch_boxes) == (0, ["1-3", "add"], 50)
