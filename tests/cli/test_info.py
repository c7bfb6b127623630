"""`dgl layers` for every backbone, `dgl info` for every kind of checkpoint."""

import functools
import json
import os
from unittest import mock

import numpy as np
import pytest
from cli_runs import CLASSES, SIZE, dgl, write_zoo_vgg
from foreign_files import write_keras, write_pth, write_safetensors
from networks import values_of, vgg_variables, write_npz, write_tensorflow

from dgl.backbones import PAPER_MODES, get_backbone, receptive_field
from dgl.backbones.receptive_field import layer_table
from dgl.backbones.resnet import BLOCKS_BY_DEPTH
from dgl.weights import ModelCard, write_card


@functools.lru_cache(maxsize=None)
def layers_of(mode):
    """What `dgl layers` writes as JSON and as text, for a graph that is built once."""
    words, made = ("layers", "--mode", mode, "--image_size", "64"), []

    def once(*arguments):
        made[:] = made or layer_table(*arguments)
        return made

    with mock.patch.object(receptive_field, "layer_table", once):
        done, text = dgl(*words, "--json"), dgl(*words)
    assert (done.code, done.err, text.code) == (0, "", 0)
    return json.loads(done.out), text.out


@pytest.mark.parametrize("mode", PAPER_MODES)
def test_layers_of_every_backbone(mode):
    told, text = layers_of(mode)
    assert ("squeeze-excite" in text) == mode.endswith("se")
    assert (told["mode"], told["width"], told["image_size"]) == (mode, 1.0, 64)
    rows = told["layers"]
    assert [row["name"] for row in rows] == list(get_backbone(mode).layers)
    assert [row["index"] for row in rows] == list(range(len(rows)))
    for row in rows:
        height, width, channels = row["shape"]
        assert height == width == -(-64 // row["stride"][0]) and channels >= 16
        assert row["receptive_field"][0] >= row["stride"][0] > 0
        assert row["has_global_gate"] == mode.endswith("se")


@pytest.mark.parametrize("mode", ["resnet50", "resnet50se"])
def test_a_resnet_by_arithmetic(mode):
    first, blocks = 7 + 2 * 2, BLOCKS_BY_DEPTH[int(mode[6:].rstrip("se"))]
    # The first blocks at stride 4, the first of the next group halves it; the others at stride 8.
    size = first + 2 * 4 * (blocks[0] + 1) + 2 * 8 * (sum(blocks[1:]) - 1)
    row = layers_of(mode)[0]["layers"][0]
    assert (row["stride"], row["receptive_field"]) == ([8, 8], [size, size])


def test_squeeze_excite_is_left_out_of_receptive_fields():
    plain, gated = (layers_of(mode)[0] for mode in ("resnet50", "resnet50se"))
    for row, other in zip(plain["layers"], gated["layers"]):
        assert dict(row, has_global_gate=True) == other


def test_layers_as_a_table():
    done = dgl("layers", "--mode", "vgg")
    assert done.out.startswith("vgg, width 1, 224 x 224 pixels\n\n")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["1", "conv5_3", "14", "x", "14", "x", "512", "16", "196"] in lines
    assert ["17", "conv1_1", "224", "x", "224", "x", "64", "1", "3"] in lines


def test_layers_of_a_checkpoint(tiny):
    told = json.loads(dgl("layers", "--load", tiny, "--json").out)
    assert (told["mode"], told["width"], told["image_size"]) == ("vgg", 0.125, SIZE)
    assert told["layers"][1]["shape"] == [4, 4, 64]


def info(path):
    told, text = facts_of(path), dgl("info", path)
    assert text.code == 0 and told["format"] in text.out
    return told, text.out


def facts_of(path):
    done = dgl("info", path, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_info_of_a_packed_checkpoint(tiny):
    told, text = info(tiny)
    variables = vgg_variables(CLASSES)
    assert told == {
        "path": tiny,
        "format": "NumPy archive (.npz)",
        "bytes": os.path.getsize(tiny),
        "backbone": "vgg",
        "heads": {"linear": CLASSES},
        "width": 0.125,
        "norm": "none",
        "image_size": SIZE,
        "last_stride": 1,
        "strides": "dgl",
        "data_set": "toys",
        "class_names": list("abcdefg"),
        "step": None,
        "epoch": None,
        "variables": len(variables),
        "parameters": sum(array.size for array in variables.values()),
        "optimizer": {},
        "publisher": None,
        "fits": [],
        "first_names": list(variables)[:4],
        "next": "dgl localize PICTURE --load " + tiny,
    }
    assert "7 in linear" in text and "a, b, c, d, e, f, g" in text and "toys" in text


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A training's folder: momentum, step and statistics; two heads."""
    folder = tmp_path_factory.mktemp("some log")
    values = dict(vgg_variables(CLASSES))
    values["linear_cub/W"] = np.zeros((128, 3), "float32")
    values["linear_cub/b"] = np.zeros(3, "float32")
    values.update({name + "/Momentum": array for name, array in list(values.items())})
    values["global_step"] = np.int64(1200)
    values["learning_rate"] = np.float32(0.1)
    write_tensorflow(str(folder / "model-1200"), values)
    write_card(str(folder / "model.json"), ModelCard("vgg", SIZE, None, "toys"))
    rows = [{"epoch_num": n, "global_step": 400 * n} for n in (1, 2, 3)]
    (folder / "stats.json").write_text(json.dumps(rows))
    return folder


def test_info_of_a_training(log):
    told, text = info(str(log))
    network = len(vgg_variables(CLASSES)) + 2
    assert told["format"] == "TensorFlow checkpoint, V2"
    assert told["heads"] == {"linear": CLASSES, "linear_cub": 3}
    assert (told["step"], told["epoch"]) == (1200, 3)
    assert told["optimizer"] == {"Momentum": network}
    assert told["variables"] == 2 * network + 2
    own = sum(array.size for array in vgg_variables(CLASSES).values()) + 128 * 3 + 3
    assert told["parameters"] == own
    files = [name for name in os.listdir(str(log)) if name.startswith("model-1200.")]
    sizes = {name: os.path.getsize(str(log / name)) for name in files}
    assert told["bytes"] == sum(v for k, v in sizes.items() if not k.endswith(".meta"))
    assert "1,200 steps, epoch 3" in text and "7 in linear; 3 in linear_cub" in text
    assert told["next"] == "dgl localize PICTURE --load '{}'".format(log / "model-1200")


def test_info_without_sound_statistics(log, tmp_path):
    for name in os.listdir(str(log)):
        (tmp_path / name).write_bytes((log / name).read_bytes())
    (tmp_path / "stats.json").write_text("{")
    told = facts_of(str(tmp_path / "model-1200"))
    assert (told["step"], told["epoch"]) == (1200, None)


def _tensorflow(version):
    return lambda folder, values: write_tensorflow(str(folder / "a.ckpt"), values, version)


FORMATS = {
    "TensorFlow checkpoint, V1": _tensorflow(1),
    "TensorFlow checkpoint, V2": _tensorflow(2),
    "NumPy archive (.npz)": lambda folder, values: write_npz(folder / "a.npz", values),
    "PyTorch state dict": lambda folder, values: write_pth(folder / "a.pth", values),
    "PyTorch state dict ": lambda folder, values: write_pth(folder / "b.pth", values, legacy=True),
    "safetensors": lambda folder, values: write_safetensors(folder / "a.safetensors", values),
    "HDF5 (Keras)": lambda folder, values: write_keras(
        folder / "a.h5", [("some", [(k.split("/")[1], v) for k, v in values.items()])]
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(name, tmp_path):
    values = {"some/kernel": np.ones((3, 4), "float32"), "some/bias": np.ones(4, "float32")}
    path = FORMATS[name](tmp_path, values)
    told, text = info(path)
    assert (told["format"], told["variables"], told["parameters"]) == (name.strip(), 2, 16)
    assert (told["backbone"], told["next"], told["fits"]) == (None, None, [])
    assert "none of this project's" in text and "some/" in text


def test_published_weights(tmp_path):
    told, text = info(write_zoo_vgg(tmp_path))
    assert (told["backbone"], told["fits"]) == ("vgg", ["vgg"])
    assert told["publisher"] == "tensorpack's model zoo" and told["publisher"] in text
    assert told["next"].startswith("dgl convert ")


@pytest.mark.parametrize("name, published", [("ImageNet-ResNet50.npz", True), ("own.npz", False)])
def test_a_resnet_of_the_zoo_is_told_by_its_name(name, published, tmp_path):
    told = facts_of(write_npz(tmp_path / name, values_of("resnet50", 32, width=0.125)))
    assert told["backbone"] == "resnet50" and told["norm"] is None
    assert bool(told["publisher"]) == published
    assert told["next"].startswith("dgl localize ")


def test_a_network_of_imagenet_has_its_names(tmp_path):
    values = values_of("vgg", 32, classes=1000, width=0.125)
    told, text = info(write_npz(tmp_path / "a.npz", values))
    assert len(told["class_names"]) == 1000 and told["class_names"][160] == "Afghan hound"
    assert "tench, goldfish" in text and "992 more" in text


def test_weights_without_a_head_are_for_training(tmp_path):
    values = {k: v for k, v in vgg_variables(CLASSES).items() if k.startswith("conv")}
    told = facts_of(write_npz(tmp_path / "a.npz", values))
    assert told["next"].startswith("dgl train --mode vgg --load ")
