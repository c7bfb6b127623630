"""run_train.sh: what each backbone and recipe runs, from either folder, and how it refuses."""

import os
import shutil
import subprocess

import pytest

PAPER = "--batch 32 --base-lr 0.002"
SMALL = "--width 0.25 --final-size 112"


def run(root, *arguments, folder=None, **environment):
    folder = folder or root
    variables = {k: v for k, v in os.environ.items() if k not in ("DATA", "GPU", "BATCH", "EPOCH")}
    variables.update({"DRY_RUN": "1", "PYTHON": "python"}, **environment)
    command = ["sh", os.path.join(folder, "run_train.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder)


def command(root, *arguments, **settings):
    result = run(root, *arguments, **settings)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(
    "backbone, start",
    [
        ("vgg", "python train_code/dgl_vgg.py "),
        ("resnet50", "python train_code/dgl_resnet.py --mode resnet "),
        ("resnet50se", "python train_code/dgl_resnet.py --mode se "),
        ("inceptionv3", "python train_code/dgl_inceptionv3.py "),
    ],
)
@pytest.mark.parametrize("data", ["imagenet", "cub"])
def test_the_papers_commands(root, backbone, start, data):
    line = command(root, backbone, data, DATA="/data/set", GPU="0,1")
    epochs = 2 if (backbone, data) == ("resnet50se", "imagenet") else 30
    assert line == (
        f"{start}--{data} {PAPER} --epoch {epochs} --load {backbone} --gpu 0,1 --data /data/set "
        f"--logdir {backbone}_{data}"
    )


def test_nothing_configured_is_the_embedded_data_from_either_folder(root):
    line = command(root)
    assert line.startswith(f"python train_code/dgl_vgg.py {SMALL} --norm bn")
    assert line.endswith("--data data/birds --logdir vgg_birds")
    assert command(root, folder=os.path.join(root, "train_code")) == line


def test_flags_after_two_dashes_and_the_environment_arrive(root):
    settings = {"DATA": "some data", "LOGDIR": "x", "EPOCH": "7"}
    line = command(root, "vgg", "scratch", "--", "--seed", "3", **settings)
    data = os.path.join(root, "some data")  # relative to where the caller stood
    for flag in (f" --data {data} ", " --epoch 7 ", " --logdir x "):
        assert flag in line
    assert line.endswith(" --seed 3")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["alexnet"], "backbone alexnet"),
        (["vgg", "coco"], "recipe coco"),
        (["vgg", "imagenet"], "set DATA"),
        (["vgg", "birds", "more"], "at most a backbone and a recipe"),
        (["--seed", "1"], "flags for the training script come after --"),
    ],
)
def test_bad_arguments_end_in_one_line(root, arguments, message):
    result = run(root, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(shutil.which("dash") is None, reason="no strict POSIX shell here")
def test_posix_shell(root):
    for name in ("run_train.sh", os.path.join("train_code", "run_train.sh")):
        assert subprocess.call(["dash", "-n", os.path.join(root, name)]) == 0
