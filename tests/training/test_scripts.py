"""The three training scripts: their help, the backbone that they train, how they end."""

import os
import runpy
import subprocess
import sys

import pytest

from dgl.training import setup as command

SCRIPTS = ("dgl_vgg.py", "dgl_resnet.py", "dgl_inceptionv3.py")
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


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_of_the_scripts(root, script, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(os.path.join(root, "train_code", script), run_name="__main__")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    shown = set(PUBLISHED) if script == "dgl_resnet.py" else set(PUBLISHED) - {"--depth"}
    assert all(flag + " " in text or flag + "]" in text for flag in shown)


@pytest.mark.parametrize(
    "script, flags, mode",
    [
        ("dgl_vgg.py", "", "vgg"),
        ("dgl_inceptionv3.py", "", "inceptionv3"),
        ("dgl_resnet.py", "", "resnet50"),
        ("dgl_resnet.py", "--mode se", "resnet50se"),
        ("dgl_resnet.py", "--depth 101", "resnet101"),
        ("dgl_resnet.py", "--mode se --depth 152", "resnet152se"),
    ],
)
def test_the_backbone_of_the_scripts(root, monkeypatch, script, flags, mode):
    modes = []
    monkeypatch.setattr(command, "run", lambda args, mode: modes.append(mode))
    main = runpy.run_path(os.path.join(root, "train_code", script))["main"]
    main(["--data", "DATA"] + flags.split())
    assert modes == [mode]


def test_a_script_ends_with_one_line_on_bad_input(root, tmp_path):
    command_line = [sys.executable, os.path.join(root, "train_code", "dgl_vgg.py")]
    done = subprocess.run(
        command_line + ["--data", "nowhere"],
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such folder; expected a data set\n"
    assert os.listdir(str(tmp_path)) == []
