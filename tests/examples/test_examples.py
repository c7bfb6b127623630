"""Every example runs without arguments but for a place to write to, and does what it says."""

import ast
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from networks import has_keras

from dgl.data.image_io import read_image
from dgl.datasets import SHIPPED_CHECKPOINT, sample_images
from dgl.localizer import Localizer


@pytest.fixture
def run(root, tmp_path, monkeypatch, capsys):
    """Run an example by its name in a folder of its own; (lines that it printed, that folder)."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # an example adds the project

    def call(name, *arguments):
        main = runpy.run_path(os.path.join(root, "examples", name + ".py"))["main"]
        assert not main(["--out", str(tmp_path), *arguments])
        return capsys.readouterr().out.strip().splitlines(), tmp_path

    return call


def expected(layer):
    with Localizer.from_checkpoint(SHIPPED_CHECKPOINT, layer=layer) as localizer:
        return localizer(sample_images())


def drawn_image(folder, name):
    drawn, plain = read_image(str(folder / name)), read_image(sample_images()[0])
    assert drawn.shape[0] == plain.shape[0] and drawn.shape[1] % plain.shape[1] == 0
    assert np.ptp(drawn.reshape(-1, 3), axis=0).min() > 100  # colors of a map
    return drawn


def test_own_checkpoint(run):
    lines, folder = run("own_checkpoint")
    assert len(lines) == len(sample_images()) == len(os.listdir(str(folder)))
    for line, path, found in zip(lines, sample_images(), expected("2")):
        name = os.path.splitext(os.path.basename(path))[0]
        assert line.startswith(name) and line.endswith(str(found.box))
        # The images are named after their classes.
        assert name.split("_", 1)[1] in line.split()[1].lower()
        assert read_image(str(folder / (name + ".png"))).shape == read_image(path).shape


def box_of(line):
    return ast.literal_eval(line[line.index("(") : line.index(")") + 1])


def test_frozen_graph(run):
    """The project's network, by the way that others' go: the same class and the same box."""
    lines, folder = run("frozen_graph")
    drawn_image(folder, "frozen_graph.png")
    assert lines[0].startswith("layer  0 network/add")
    assert lines[2].split()[2] == "network/conv5_2/Relu"
    found = expected("conv5_2")[0]
    of_class = f"class {found.class_index} with probability {found.probability:.3f}"
    assert any(of_class in line for line in lines)
    assert box_of(lines[-1]) == pytest.approx(found.box, abs=1)


def test_saved_model(run):
    lines, folder = run("saved_model")
    of_method = {line.split()[0]: line for line in lines}
    assert list(of_method) == ["dgl", "gradcam", "layercam", "cam"]
    assert drawn_image(folder, "saved_model.png").shape[1] == 4 * 400
    found = expected("0")[0]
    assert box_of(of_method["dgl"]) == pytest.approx(found.box, abs=1)
    assert f"class {found.class_index}" in of_method["cam"]


@pytest.mark.filterwarnings("ignore:.*(set_learning_phase|state_updates)")
def test_keras_application(run):
    if not has_keras():
        pytest.skip("no Keras that builds graphs")
    lines, folder = run("keras_application", "--image-size", "64")
    assert lines[0].startswith("random weights")
    assert any("layer out_relu/Relu6, one of " in line for line in lines)
    drawn_image(folder, "keras_application.png")


def test_as_a_program_from_anywhere(root, tmp_path):
    """It finds the project, and bad input is one line."""
    script = os.path.join(root, "examples", "frozen_graph.py")
    command = [sys.executable, script, "--model", "nothing.pb"]
    done = subprocess.run(command, cwd=str(tmp_path), capture_output=True)
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.decode().splitlines()[-1].startswith("error: nothing.pb: no such file")
