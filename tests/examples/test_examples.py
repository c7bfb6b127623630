"""Every example runs without arguments but for a place to write to, and does what it says."""

import ast
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from networks import has_keras

from dgl.data.image_io import read_image
from dgl.datasets import SHIPPED_CHECKPOINT, sample_images
from dgl.errors import UserError
from dgl.localizer import Localizer

NAMES = ("own_checkpoint", "frozen_graph", "saved_model", "keras_application", "shipped_model")
SMALL = {"keras_application": ["--image-size", "64"]}


@pytest.fixture
def run(root, tmp_path, monkeypatch, capsys):
    """Run an example by its name in a folder of its own; (what it printed, that folder)."""
    folder = os.path.join(root, "examples")
    monkeypatch.setattr(sys, "path", list(sys.path))  # an example adds the project

    def call(name, *arguments):
        spec = importlib.util.spec_from_file_location(
            "example_" + name, os.path.join(folder, name + ".py")
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        code = module.main(["--out", str(tmp_path)] + list(arguments) + SMALL.get(name, []))
        assert not code
        return capsys.readouterr().out, tmp_path

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
    out, folder = run("own_checkpoint")
    lines = out.strip().splitlines()
    assert len(lines) == len(sample_images()) == len(os.listdir(str(folder)))
    for line, path, found in zip(lines, sample_images(), expected("2")):
        name = os.path.splitext(os.path.basename(path))[0]
        assert line.startswith(name) and line.endswith(str(found.box))
        # The images are named after their classes.
        assert name.split("_", 1)[1] in line.split()[1].lower()
        assert read_image(str(folder / (name + ".png"))).shape == read_image(path).shape


def test_frozen_graph(run):
    """The project's network, by the way that others' go: the same class and the same box."""
    out, folder = run("frozen_graph")
    drawn_image(folder, "frozen_graph.png")
    lines = out.strip().splitlines()
    assert (
        lines[0].startswith("layer  0 network/add")
        and lines[2].split()[2] == "network/conv5_2/Relu"
    )
    (found,) = expected("conv5_2")[:1]
    assert f"class {found.class_index} with probability {found.probability:.3f}" in out
    assert box_of(lines[-1]) == pytest.approx(found.box, abs=1)


def box_of(line):
    return ast.literal_eval(line[line.index("(") : line.index(")") + 1])


def test_saved_model(run):
    out, folder = run("saved_model")
    lines = {line.split()[0]: line for line in out.strip().splitlines()}
    assert list(lines) == ["dgl", "gradcam", "layercam", "cam"]
    assert drawn_image(folder, "saved_model.png").shape[1] == 4 * 400
    (found,) = expected("0")[:1]
    assert box_of(lines["dgl"]) == pytest.approx(found.box, abs=1)
    assert f"class {found.class_index}" in lines["cam"]


@pytest.mark.filterwarnings("ignore:.*(set_learning_phase|state_updates)")
def test_keras_application(run):
    if not has_keras():
        pytest.skip("no Keras that builds graphs")
    out, folder = run("keras_application")
    assert out.startswith("random weights") and "layer out_relu/Relu6, one of " in out
    drawn_image(folder, "keras_application.png")


def test_a_model_that_is_missing_ends_in_one_line(run, tmp_path):
    for name in ("frozen_graph", "saved_model"):
        with pytest.raises(UserError, match="expected a"):
            run(name, "--model", str(tmp_path / "nothing"))


def test_as_a_program_from_anywhere(root, tmp_path):
    """It finds the project, and bad input is one line."""
    script = os.path.join(root, "examples", "frozen_graph.py")
    done = subprocess.run(
        [sys.executable, script, "--model", "nothing.pb"], cwd=str(tmp_path), capture_output=True
    )
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.decode().splitlines()[-1].startswith("error: nothing.pb: no such file")


def test_examples_are_short_and_all_tried(root):
    found = sorted(os.listdir(os.path.join(root, "examples")))
    assert [name[:-3] for name in found if name.endswith(".py")] == sorted(NAMES)
    for name in NAMES:
        with open(os.path.join(root, "examples", name + ".py"), encoding="utf-8") as stream:
            assert len(stream.readlines()) <= 80
