"""The published scripts of ``train_code/``: their help, the backbone that they train, how they end."""

import os
import runpy
import subprocess
import sys

import pytest
from train_flags import PUBLISHED

from dgl.training import resolve


@pytest.mark.parametrize("script", ["dgl_vgg.py", "dgl_resnet.py", "dgl_inceptionv3.py"])
def test_help_has_the_published_flags(root, script, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(os.path.join(root, "train_code", script), run_name="__main__")
    text = capsys.readouterr().out
    shown = set(PUBLISHED) if script == "dgl_resnet.py" else set(PUBLISHED) - {"depth"}
    assert all(f"--{flag} " in text or f"--{flag}]" in text for flag in shown)


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
def test_backbone_of_a_script(root, monkeypatch, script, flags, mode):
    modes = []
    monkeypatch.setattr(resolve, "run", lambda args, mode: modes.append(mode))
    main = runpy.run_path(os.path.join(root, "train_code", script))["main"]
    main(["--data", "DATA", *flags.split()])
    assert modes == [mode]


def test_a_script_ends_with_one_line_on_bad_input(root, tmp_path):
    command = [sys.executable, os.path.join(root, "train_code", "dgl_vgg.py"), "--data", "nowhere"]
    done = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: nowhere: ") and done.stderr.count("\n") == 1
    assert os.listdir(str(tmp_path)) == []
