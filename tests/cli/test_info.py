"""`dgl layers` for every backbone, `dgl info` for every kind of checkpoint."""

import functools
import json
import os

import numpy as np
import pytest
from cli_runs import dgl
from demo_runs import CLASSES, SIZE
from foreign_files import write_keras, write_pth, write_safetensors
from networks import values_of, vgg_variables, write_npz, write_tensorflow
from weights.published_files import zoo

from dgl.backbones import PAPER_MODES, get_backbone
from dgl.weights import ModelCard, write_card


@pytest.mark.parametrize("mode", PAPER_MODES)
def test_layers_of_every_backbone(mode):
    told = facts_of("layers", "--mode", mode, "--image_size", "64")
    assert (told["mode"], told["width"], told["image_size"]) == (mode, 1.0, 64)
    rows = told["layers"]
    assert [row["name"] for row in rows] == list(get_backbone(mode).layers)
    assert [row["index"] for row in rows] == list(range(len(rows)))
    for row in rows:
        height, width, channels = row["shape"]
        assert height == width == -(-64 // row["stride"][0]) and channels >= 16
        assert row["receptive_field"][0] >= row["stride"][0] > 0
        assert row["has_global_gate"] == mode.endswith("se")


def test_layers_as_a_table():
    done = dgl("layers", "--mode", "vgg")
    assert done.out.startswith("vgg, width 1, 224 x 224 pixels\n\n")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["1", "conv5_3", "14", "x", "14", "x", "512", "16", "196"] in lines
    assert "squeeze-excite" in dgl("layers", "--mode", "resnet50se", "--image_size", "64").out


def facts_of(*words):
    done = dgl(*words, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def info(path):
    told, text = facts_of("info", path), dgl("info", path)
    assert text.code == 0 and told["format"] in text.out
    return told, text.out


def test_layers_and_info_of_a_packed_checkpoint(vgg):
    layers = facts_of("layers", "--load", vgg)
    assert (layers["width"], layers["layers"][1]["shape"]) == (0.125, [4, 4, 64])
    told, text = info(vgg)
    assert layers["image_size"] == told["image_size"] == SIZE
    assert (told["bytes"], told["width"]) == (os.path.getsize(vgg), 0.125)
    assert (told["backbone"], told["heads"], told["norm"]) == ("vgg", {"linear": CLASSES}, "none")
    assert (told["last_stride"], told["strides"], told["optimizer"]) == (1, "dgl", {})
    assert (told["data_set"], told["class_names"]) == ("toys", list("abcde"))
    variables = vgg_variables(CLASSES)
    assert told["parameters"] == sum(array.size for array in variables.values())
    assert (told["variables"], told["first_names"]) == (len(variables), list(variables)[:4])
    assert "5 in linear" in text and "a, b, c, d, e" in text


def test_info_of_a_training(tmp_path):
    """Momentum, step and statistics; two heads."""
    log = tmp_path / "some log"
    log.mkdir()
    cub = {"linear_cub/W": np.zeros((128, 3), "f4"), "linear_cub/b": np.zeros(3, "f4")}
    network = dict(vgg_variables(CLASSES), **cub)
    momentum = {name + "/Momentum": array for name, array in network.items()}
    values = dict(network, **momentum, global_step=np.int64(1200), learning_rate=np.float32(0.1))
    write_tensorflow(str(log / "model-1200"), values)
    write_card(str(log / "model.json"), ModelCard("vgg", SIZE, None, "toys"))
    rows = [{"epoch_num": n, "global_step": 400 * n} for n in (1, 2, 3)]
    (log / "stats.json").write_text(json.dumps(rows))
    told, text = info(str(log))
    assert told["format"] == "TensorFlow checkpoint, V2"
    assert told["heads"] == {"linear": CLASSES, "linear_cub": 3}
    assert (told["step"], told["epoch"]) == (1200, 3)
    assert told["optimizer"] == {"Momentum": len(network)}
    assert told["variables"] == 2 * len(network) + 2
    assert told["parameters"] == sum(array.size for array in network.values())
    files = set(log.glob("model-1200.*")) - {log / "model-1200.meta"}
    assert told["bytes"] == sum(path.stat().st_size for path in files)
    assert "1,200 steps, epoch 3" in text and "5 in linear; 3 in linear_cub" in text
    assert told["next"] == "dgl localize IMAGE --load '{}'".format(log / "model-1200")
    (log / "stats.json").write_text("{")
    told = facts_of("info", log / "model-1200")
    assert (told["step"], told["epoch"]) == (1200, None)


def write_hdf5(path, values):
    return write_keras(path, [("some", [(k.split("/")[1], v) for k, v in values.items()])])


FORMATS = {
    "TensorFlow checkpoint, V1": ("a.ckpt", functools.partial(write_tensorflow, version=1)),
    "TensorFlow checkpoint, V2": ("a.ckpt", write_tensorflow),
    "NumPy archive (.npz)": ("a.npz", write_npz),
    "PyTorch state dict": ("a.pth", write_pth),
    "PyTorch state dict ": ("a.pth", functools.partial(write_pth, legacy=True)),
    "safetensors": ("a.safetensors", write_safetensors),
    "HDF5 (Keras)": ("a.h5", write_hdf5),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(name, tmp_path):
    values = {"some/kernel": np.ones((3, 4), "float32"), "some/bias": np.ones(4, "float32")}
    file_name, write = FORMATS[name]
    told, text = info(write(tmp_path / file_name, values))
    assert (told["format"], told["variables"], told["parameters"]) == (name.strip(), 2, 16)
    assert (told["backbone"], told["next"], told["fits"]) == (None, None, [])
    assert "none of this project's" in text and "some/" in text


PLAIN = {k: v for k, v in vgg_variables(CLASSES).items() if k.startswith("conv")}


@pytest.mark.parametrize(
    "name, values, backbone, is_published, command",
    [
        ("vgg16.npz", zoo("vgg"), "vgg", True, "convert"),
        ("ImageNet-ResNet50.npz", ("resnet50", CLASSES), "resnet50", True, "localize"),
        ("own.npz", ("resnet50", CLASSES), "resnet50", False, "localize"),
        ("imagenet.npz", ("vgg", 1000), "vgg", False, "localize"),
        ("without_a_head.npz", PLAIN, "vgg", False, "train --mode vgg --load"),
    ],
)
def test_what_a_file_holds_and_what_to_do_with_it(
    name, values, backbone, is_published, command, tmp_path
):
    if isinstance(values, tuple):
        values = values_of(values[0], 32, width=0.125, classes=values[1])
    told, _ = info(write_npz(tmp_path / name, values))
    assert (told["backbone"], bool(told["publisher"])) == (backbone, is_published)
    assert (told["norm"] is None) == (backbone != "vgg")  # the others have no choice
    assert told["next"].startswith(f"dgl {command} ")
    if name == "imagenet.npz":
        assert len(told["class_names"]) == 1000 and told["class_names"][160] == "Afghan hound"
