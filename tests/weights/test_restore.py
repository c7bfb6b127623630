"""From checkpoints to filled networks: what fits, what does not, and what the message says."""

import os

import numpy as np
import pytest
from networks import options_of, values_of, write_npz
from refusals import refusal

from dgl.backbones import PAPER_MODES, get_backbone
from dgl.backbones.network import build_network
from dgl.predict.frozen import build_inference
from dgl.tf_compat import tf
from dgl.weights import Checkpoint, ModelCard, open_checkpoint, read_weights, restore
from dgl.weights.restore import choose_head, find_weights, options_from, read_all

VGG = get_backbone("vgg")
WIDTH = 0.125
SIZE = 32


@pytest.fixture(scope="module")
def values():
    return values_of("vgg", SIZE, width=WIDTH)


def refuse(*_):
    raise PermissionError(13, "Permission denied")


def checkpoint_of(tmp_path, values):
    return open_checkpoint(write_npz(tmp_path / "a.npz", values))


def shaped(values):
    """A checkpoint of the names and shapes of arrays, without their numbers."""
    return Checkpoint("a.npz", {name: array.shape for name, array in values.items()}, None)


def image_tensor():
    return tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])


def fails_to_fit(checkpoint, **insisted):
    """The message of the refusal, for options of the checkpoint's but those that are insisted on."""
    options = options_from(VGG, checkpoint, **insisted)
    with tf.Graph().as_default():
        message = refusal(build_inference, VGG, checkpoint, image_tensor(), options)
    assert message.startswith("a.npz: does not fit this network: ")
    return message


def test_every_variable_gets_its_value_whatever_else_is_stored(tmp_path, values):
    stored = {name + "/Momentum": array + 1 for name, array in values.items()}
    stored.update({"global_step": np.array(500), "learning_rate": np.array(0.002, "float32")})
    checkpoint = checkpoint_of(tmp_path, dict(stored, **values))
    options = options_from(VGG, checkpoint)
    assert (options.classes, options.head) == (5, "linear")
    with tf.Graph().as_default():
        build_network(VGG, image_tensor(), options)
        found = read_all(tf.global_variables(), checkpoint)
    assert set(found) == set(values)
    for name, array in values.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_options_are_read_from_the_checkpoint(norm):
    checkpoint = shaped(values_of("vgg", SIZE, width=0.25, norm=norm))
    options = options_from(VGG, checkpoint, card=ModelCard("vgg", 224, last_stride=2))
    assert (options.width, options.norm, options.last_stride) == (0.25, norm, 2)
    assert not options.training


def test_another_backbone_s_checkpoint():
    checkpoint = Checkpoint("a.npz", {"conv0/W": (3, 3, 3, 8), "linear/W": (8, 5)}, None)
    message = refusal(options_from, VGG, checkpoint)
    assert message.startswith("a.npz: ")
    assert all(part in message for part in ("--mode vgg", "lacks conv1_1/W", "conv0/W"))


def test_without_a_classification_layer(values):
    stored = {name: v for name, v in values.items() if not name.startswith("linear")}
    stored["conv1_1/W/Momentum"] = stored["conv1_1/W"]
    message = refusal(options_from, VGG, shaped(stored))
    assert "no classification layer of vgg" in message and "linear*" in message
    assert "begins with conv1_1/W, conv1_1/b, " in message
    assert "Momentum" not in message


@pytest.mark.parametrize(
    "option, message",
    [
        ({"width": 0.25}, "conv1_1/W (network [3, 3, 3, 16], checkpoint [3, 3, 3, 8])"),
        ({"norm": "bn"}, "conv1_1/bn/gamma (absent)"),
    ],
)
def test_wrong_width_or_norm(values, option, message):
    assert message in fails_to_fit(shaped(values), **option)


def test_the_first_disagreeing_variables_are_named(values):
    names = list(values)[2:11]
    message = fails_to_fit(shaped({n: v for n, v in values.items() if n not in names}))
    assert ", ".join(name + " (absent)" for name in names[:4]) in message
    assert names[4] not in message and message.endswith("and 5 more")


@pytest.mark.parametrize(
    "stored, message",
    [
        (None, "linear/b (absent)"),
        (np.zeros(6, "float32"), "linear/b (network [5], checkpoint [6])"),
        *[
            (np.array([0, 0, 0, one, 0]), "linear/b holds NaN or infinity, expected finite weights")
            for one in (np.nan, -np.inf, 1e39)
        ],
        *[
            (np.zeros(5, kind), f"linear/b holds {np.dtype(kind)}, expected real numbers")
            for kind in ("U3", "complex64", "bool")
        ],
    ],
)
def test_what_a_variable_cannot_hold(tmp_path, values, stored, message):
    stored = {name: v for name, v in dict(values, **{"linear/b": stored}).items() if v is not None}
    checkpoint = checkpoint_of(tmp_path, stored)
    with tf.Graph().as_default():
        build_network(VGG, image_tensor(), options_of("vgg", width=WIDTH))
        assert refusal(read_all, tf.global_variables(), checkpoint).endswith(message)


NO_HEADS = ["linear/b", "linear_cub/W/Momentum", "conv1_1/W", "InceptionV3/Logits/add1/weights"]
NO_HEADS += ["InceptionV3/AuxLogits/Conv2d_2b_1x1/weights"]
_LOGITS = "Logits/Conv2d_1c_1x1_"
BOTH = {"linear": 1000, "linear_cub": 200, "linearcub": 200}
BOTH.update({_LOGITS + "1000": 1000, _LOGITS + "200": 200})


@pytest.mark.parametrize(
    "mode, data_set, heads, expected",
    [
        ("vgg", None, BOTH, "linear"),
        ("vgg", "imagenet", BOTH, "linear"),
        ("vgg", "cub", BOTH, "linear_cub"),
        ("resnet50", "imagenet", BOTH, "linear"),
        ("resnet50", "cub", BOTH, "linearcub"),
        ("inceptionv3", None, BOTH, _LOGITS + "1000"),
        ("inceptionv3", "cub", BOTH, _LOGITS + "200"),
        # Published heads of CUB that are 1000 wide.
        ("vgg", None, {"linear_cub": 1000}, "linear_cub"),
        ("resnet50", "imagenet", {"linearcub": 1000}, "linearcub"),
        ("inceptionv3", "cub", {_LOGITS + "200": 1000}, _LOGITS + "200"),
    ],
)
def test_choice_of_a_head(mode, data_set, heads, expected):
    shapes = dict.fromkeys(NO_HEADS, (1, 1, 8, 1001))
    for head, width in heads.items():
        if head.startswith("Logits"):
            shapes[f"InceptionV3/{head}/weights"] = (1, 1, 8, width)
        else:
            shapes[head + "/W"] = (8, width)
    found = choose_head(get_backbone(mode), Checkpoint("a.npz", shapes, None), data_set)
    assert found == (expected, heads[expected])


_VGG16, _NPZ = "pretrain_model/vgg16.npz", "pretrain_model/inception_v3.npz"
_CKPT = _NPZ.replace(".npz", ".ckpt")
_SE = "pretrain_model/ImageNet-ResNet50-SE.npz"


@pytest.mark.parametrize(
    "mode, files, found",
    [
        # What the name leads to comes first, if it is a checkpoint.
        ("vgg", [_VGG16], _VGG16),
        ("vgg", ["pretrain_model/vgg16.npz.index"], _VGG16),
        ("resnet50se", [_SE], _SE),
        ("vgg", [_VGG16, "vgg/vgg16.npz"], _VGG16),
        ("vgg", [_VGG16, "vgg/model.meta"], _VGG16),
        ("vgg", [_VGG16, "vgg"], "vgg"),
        ("vgg", [_VGG16, "vgg.index"], "vgg"),
        ("vgg", [_VGG16, "vgg/checkpoint"], "vgg"),
        ("vgg", [_VGG16, "vgg/model-3.index"], "vgg"),
        # Then the working folder, that beside the package, the cache folder; in each the converted file.
        ("inceptionv3", [_NPZ, _CKPT, "beside/" + _NPZ], _NPZ),
        ("inceptionv3", [_CKPT, "beside/" + _NPZ, "home/" + _NPZ], _CKPT),
        ("inceptionv3", ["beside/" + _CKPT, "beside/" + _NPZ], "beside/" + _NPZ),
        ("inceptionv3", ["beside/" + _CKPT, "home/" + _NPZ], "beside/" + _CKPT),
        ("inceptionv3", ["home/" + _CKPT], "home/" + _CKPT),
    ],
)
def test_where_a_short_name_leads(tmp_path, monkeypatch, mode, files, found):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(restore, "_BESIDE_PACKAGE", "beside")
    monkeypatch.setenv("DGL_HOME", str(tmp_path / "home"))
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert os.path.abspath(find_weights(get_backbone(mode), mode)) == str(tmp_path / found)


def test_a_folder_named_like_a_short_name_that_may_not_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("vgg", "pretrain_model"):
        (tmp_path / name).mkdir()
    (tmp_path / _VGG16).write_bytes(b"")
    assert os.path.samefile(find_weights(VGG, "vgg16.npz"), _VGG16)
    monkeypatch.setattr(os, "listdir", refuse)
    assert os.path.samefile(find_weights(VGG, "vgg"), _VGG16)


def test_short_name_whose_file_is_absent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Beside the package there may be one.
    monkeypatch.setattr(restore, "PRETRAINED_FOLDER", "pretrain_model_of_the_tests")
    message = refusal(find_weights, get_backbone("resnet50se"), "resnet50se")
    assert message.startswith("--load resnet50se: ") and "ImageNet-ResNet50-SE.npz" in message


@pytest.mark.parametrize("mode, width", [(mode, 0.33) for mode in PAPER_MODES] + [("vgg", 0.05)])
def test_a_rounded_width_is_found_again(mode, width):
    backbone = get_backbone(mode)
    options = options_of(mode, width=backbone.round_width(width))
    checkpoint = shaped(values_of(mode, SIZE, width=options.width))
    for given in (None, width):  # equal options build equal networks
        assert options_from(backbone, checkpoint, width=given) == options


@pytest.mark.parametrize("shape", [(), (8,), (3, 3, 3, 0), (3, 3, 3, 1025), (3, 3, 3, 10**18)])
def test_a_first_layer_that_is_none_or_of_absurd_width(shape):
    checkpoint = Checkpoint("a.npz", {"conv1_1/W": shape, "linear/W": (8, 5)}, None)
    message = refusal(options_from, VGG, checkpoint)
    assert message.startswith(f"a.npz: conv1_1/W is {list(shape)}, ") and "1024" in message


@pytest.mark.parametrize("shape", [(), (8, 0), (8, 10**6 + 1), (8, 2**63)])
def test_a_classification_layer_of_no_or_absurdly_many_classes(shape):
    checkpoint = Checkpoint("a.npz", {"conv1_1/W": (3, 3, 3, 8), "linear/W": shape}, None)
    assert "holds no classification layer of vgg" in refusal(options_from, VGG, checkpoint)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int64", "uint8"])
def test_real_numbers_of_any_size_become_float32(tmp_path, dtype):
    stored = np.arange(6).reshape(2, 3).astype(dtype)
    found = read_weights(checkpoint_of(tmp_path, {"x": stored}), "x")
    assert found.dtype == np.float32 and found.dtype.isnative
    np.testing.assert_array_equal(found, stored)
