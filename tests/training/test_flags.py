"""The flags of the training scripts: the published ones, their defaults, and bad values."""

import pytest
from small_trainings import parse

RESNET = {"modes": ("resnet", "se"), "depths": (50, 101, 152)}

PUBLISHED = {
    "gpu": "0,1", "data": "DATA", "logdir": "run", "epoch": 30, "dataname": "cub", "steps": 7,
    "final_size": 320, "chlast": True, "cub": True, "classnum": 201, "batch": 32, "base_lr": 0.002,
    "stepscale": 2.5, "finetune": True, "depth": 101, "mode": "se", "laststride": 2, "val": True,
    "load": "a.npz",
}  # fmt: skip


def test_every_published_flag_parses():
    given = [f"--{name}={value}".replace("=True", "") for name, value in PUBLISHED.items()]
    args = vars(parse(*(text.replace("_", "-") for text in given), **RESNET))
    assert {name: args[name] for name in PUBLISHED} == PUBLISHED
    assert parse("--imagenet").imagenet is True


def test_defaults():
    args = parse()
    assert (args.epoch, args.batch, args.base_lr) == (105, 256, 0.01)
    assert not any((args.chlast, args.cub, args.imagenet, args.finetune, args.val, args.resume))
    names = "gpu dataname steps classnum stepscale load watch_boxes final_size".split()
    assert all(getattr(args, name) is None for name in names)
    assert (args.lr_epochs, args.watch, args.watch_layer) == ((10, 20, 30, 40), 8, ["1"])
    resnet = parse(**RESNET)
    assert (resnet.mode, resnet.depth, resnet.laststride) == ("resnet", 50, 1)


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


@pytest.mark.parametrize("text, epochs", [("3", (3,)), ("25,34", (25, 34)), ("", ())])
def test_lr_epochs(text, epochs):
    assert parse("--lr-epochs", text).lr_epochs == epochs
