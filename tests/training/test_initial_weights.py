"""Which variables ``--load`` fills, and the name of the head."""

import numpy as np
import pytest
from small_network import values_of, write_tensorflow
from tiny import WIDTH, vgg_shapes, vgg_variables

from dgl.backbones import BuildOptions, get_backbone
from dgl.errors import UserError
from dgl.training.initial_weights import pick_head, select_weights
from dgl.weights import open_checkpoint, save_npz

VGG = get_backbone("vgg")


def options(classes=4, head="linear", width=WIDTH):
    return BuildOptions(classes=classes, head=head, width=width)


@pytest.fixture
def checkpoint(tmp_path):
    """Opens what it is given as a checkpoint."""

    def store(variables):
        path = str(tmp_path / "start.npz")
        save_npz(path, variables)
        return open_checkpoint(path)

    return store


@pytest.mark.parametrize(
    "mode, brought, data_set, classes, expected",
    [
        # A head of the right width stays under its own name ...
        ("vgg", {"linear": 200}, "cub", 200, "linear"),
        ("vgg", {"linear_cub": 1000}, "imagenet", 1000, "linear_cub"),
        ("vgg", {"linear_cub": 5}, None, 5, "linear_cub"),
        ("resnet50", {"linearcub": 1000}, "imagenet", 1000, "linearcub"),
        # ... the data set's own first where there are two ...
        ("vgg", {"linear": 200, "linear_cub": 200}, "cub", 200, "linear_cub"),
        ("vgg", {"linear": 200, "linear_cub": 200}, None, 200, "linear"),
        ("vgg", {"linear": 1000, "linear_cub": 200}, "imagenet", 200, "linear_cub"),
        # ... and any other width starts a new one under the data set's name.
        ("vgg", {"linear": 1000}, "cub", 200, "linear_cub"),
        ("vgg", {"linear_cub": 1000}, "imagenet", 200, "linear"),
        ("vgg", {"linear": 1000}, None, 5, "linear"),
        ("vgg", {}, "cub", 200, "linear_cub"),
        ("vgg", {}, None, 7, "linear"),
        ("resnet50", {"linear": 1000}, "cub", 200, "linearcub"),
        ("resnet50se", {}, "imagenet", 1000, "linear"),
    ],
)
def test_pick_head(mode, brought, data_set, classes, expected):
    shapes = {f"{head}/W": (64, width) for head, width in brought.items()}
    assert pick_head(get_backbone(mode), shapes, data_set, classes) == expected


@pytest.mark.parametrize("data_set", ["cub", "imagenet", None])
def test_pick_head_of_inception_names_its_width(data_set):
    backbone = get_backbone("inceptionv3")
    shapes = {"InceptionV3/Logits/Conv2d_1c_1x1_1000/weights": (1, 1, 1024, 1000)}
    assert pick_head(backbone, shapes, data_set, 200) == "Logits/Conv2d_1c_1x1_200"
    assert pick_head(backbone, shapes, data_set, 1000) == "Logits/Conv2d_1c_1x1_1000"


def test_pick_head_keeps_a_released_inception_head():
    backbone = get_backbone("inceptionv3")
    shapes = {"InceptionV3/Logits/Conv2d_1c_1x1_200/weights": (1, 1, 1024, 1000)}
    assert pick_head(backbone, shapes, "imagenet", 1000) == "Logits/Conv2d_1c_1x1_200"


def test_every_value_of_a_fitting_checkpoint_is_taken(checkpoint):
    variables = vgg_variables(4)
    start = select_weights(VGG, checkpoint(variables), options(), 32)
    assert (start.fresh, start.unused) == ([], 0)
    values = start.values()
    assert set(values) == set(vgg_shapes(4))
    for name, value in variables.items():
        np.testing.assert_array_equal(values[name], value)


def test_a_head_of_another_width_is_left_initial(checkpoint):
    start = select_weights(VGG, checkpoint(vgg_variables(9)), options(), 32)
    assert start.fresh == ["linear/W", "linear/b"]
    assert set(vgg_shapes(4)) - set(start.loaded) == {"linear/W", "linear/b"}
    assert str(start).endswith("linear/W, linear/b")


@pytest.mark.parametrize("bias", [np.zeros(5, "float32"), None])
def test_half_a_head_is_left_initial_as_a_whole(checkpoint, bias):
    variables = vgg_variables(4)
    del variables["linear/b"]
    if bias is not None:
        variables["linear/b"] = bias
    start = select_weights(VGG, checkpoint(variables), options(), 32)
    assert start.fresh == ["linear/W", "linear/b"]


def test_a_head_of_another_name_is_unused(checkpoint):
    start = select_weights(VGG, checkpoint(vgg_variables(4)), options(head="linear_cub"), 32)
    wanted = set(vgg_shapes(4, head="linear_cub"))
    assert wanted - set(start.loaded) == {"linear_cub/W", "linear_cub/b"}
    assert set(start.loaded) <= wanted
    assert start.unused == 2


def test_variables_of_something_else_are_unused(checkpoint):
    variables = vgg_variables(4)
    variables["fc6/W"] = np.zeros((5, 6), "float32")
    variables["conv1_1/W/Momentum"] = np.ones((3, 3, 3, 8), "float32")
    variables["global_step"] = np.asarray(7, "int64")
    variables["learning_rate"] = np.asarray(0.1, "float32")
    start = select_weights(VGG, checkpoint(variables), options(), 32)
    assert set(start.loaded) == set(vgg_shapes(4))
    assert start.unused == 4


def test_variables_that_are_absent_stay_initial(checkpoint):
    variables = vgg_variables(4)
    for name in ("add/W", "add/b"):
        del variables[name]
    start = select_weights(VGG, checkpoint(variables), options(), 32)
    assert set(vgg_shapes(4)) - set(start.loaded) == {"add/W", "add/b"}


@pytest.mark.parametrize(
    "bias, text",
    [
        (np.full(128, np.nan), "NaN or infinity"),
        (np.full(128, 1e39), "NaN or infinity"),
        (np.zeros(128, "U3"), "expected real numbers"),
        (np.zeros(128, "complex64"), "expected real numbers"),
    ],
)
def test_values_that_are_not_finite_numbers_are_refused(checkpoint, bias, text):
    start = select_weights(
        VGG, checkpoint(dict(vgg_variables(4), **{"add/b": bias})), options(), 32
    )
    with pytest.raises(UserError, match=f"start.npz: add/b holds .*{text}"):
        start.values()


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32"])
def test_values_become_float32(checkpoint, dtype):
    variables = vgg_variables(4)
    variables["add/b"] = np.arange(variables["add/b"].size).astype(dtype)
    value = select_weights(VGG, checkpoint(variables), options(), 32).values()["add/b"]
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, variables["add/b"])


def test_a_wrong_shape_below_the_head_is_named(checkpoint):
    variables = vgg_variables(4)
    variables["conv3_2/W"] = np.zeros((5, 5, 32, 32), "float32")
    expected = r"start\.npz: .*conv3_2/W \(network \[3, 3, 32, 32\], checkpoint \[5, 5, 32, 32\]\)"
    with pytest.raises(UserError, match=expected) as caught:
        select_weights(VGG, checkpoint(variables), options(), 32)
    assert "conv3_1/W" not in str(caught.value)


def test_another_width_is_refused(checkpoint):
    below = len(vgg_shapes(4)) - 2  # the head may have any shape
    expected = f"does not fit --mode vgg: conv1_1/W .* and {below - 4} more$"
    with pytest.raises(UserError, match=expected):
        select_weights(VGG, checkpoint(vgg_variables(4)), options(width=0.25), 32)


def test_a_checkpoint_of_something_else_is_refused(checkpoint):
    something = {"conv0/W": np.zeros((7, 7, 3, 8), "float32")}
    with pytest.raises(UserError, match=r"start\.npz: does not fit .*conv1_1/W \(absent\)"):
        select_weights(VGG, checkpoint(something), options(), 32)


def test_only_the_head_fitting_is_not_enough_when_shapes_below_disagree(checkpoint):
    variables = {"linear/W": np.zeros((128, 4), "float32"), "conv1_1/b": np.zeros(9, "float32")}
    with pytest.raises(UserError, match="conv1_1/b"):
        select_weights(VGG, checkpoint(variables), options(), 32)


PUBLISHED_EXTRAS = {
    "vgg": ("fc6/W", "fc6/b", "fc7/W", "fc7/b", "fc8/W", "fc8/b"),
    "resnet50": ("global_step",),
    "resnet50se": (),
    "inceptionv3": (
        "global_step",
        "InceptionV3/AuxLogits/Conv2d_1b_1x1/weights",
        "InceptionV3/AuxLogits/Conv2d_1b_1x1/BatchNorm/beta",
        "InceptionV3/Mixed_7a/Branch_0/Conv2d_0a_1x1/weights",
        "InceptionV3/Mixed_7c/Branch_3/Conv2d_0b_1x1/BatchNorm/moving_mean",
        "InceptionV3/Logits/Conv2d_1c_1x1/weights",
        "InceptionV3/Logits/Conv2d_1c_1x1/biases",
        "InceptionV3/Conv2d_1a_3x3/weights/ExponentialMovingAverage",
        "InceptionV3/Conv2d_1a_3x3/weights/RMSProp",
    ),
}
NEW_LAYERS = {
    "vgg": ["add/W", "add/b", "linear_cub/W", "linear_cub/b"],
    "resnet50": ["linearcub/W", "linearcub/b"],
    "resnet50se": ["linearcub/W", "linearcub/b"],
    "inceptionv3": [
        f"InceptionV3/Logits/{layer}/{kind}"
        for layer in ("add2", "add1", "Conv2d_1c_1x1_200")
        for kind in ("weights", "biases")
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode, form",
    [("vgg", "npz"), ("resnet50", "npz with :0"), ("resnet50se", "V2"), ("inceptionv3", "V1")],
)
def test_published_weights_start_a_run_on_cub(tmp_path, mode, form):
    """Everything below the new layers is loaded; everything else is only counted."""
    backbone = get_backbone(mode)
    own = values_of(mode, 64, width=0.0625, classes=200, data_set="cub")
    stored = {name: array for name, array in own.items() if name not in NEW_LAYERS[mode]}
    kept = len(stored)
    if mode.startswith("resnet"):
        stored["linear/W"], stored["linear/b"] = np.zeros((128, 1000)), np.zeros(1000)
    for name in PUBLISHED_EXTRAS[mode]:
        stored[name] = (
            np.asarray(7, "int64") if name == "global_step" else np.ones((2, 3), "float32")
        )
    if form.startswith("npz"):
        ending = ":0" if form.endswith(":0") else ""
        path = str(tmp_path / "weights.npz")
        np.savez(path, **{name + ending: array for name, array in stored.items()})
    else:
        path = write_tensorflow(tmp_path / "inception_v3.ckpt", stored, version=int(form[1]))
    found = open_checkpoint(path)
    head = pick_head(backbone, found.shapes, "cub", 200)
    start = select_weights(backbone, found, BuildOptions(classes=200, head=head, width=0.0625), 64)
    assert start.fresh == NEW_LAYERS[mode]
    assert (len(start.loaded), start.unused) == (kept, len(stored) - kept)
    for name, array in start.values().items():
        np.testing.assert_array_equal(array, own[name])
