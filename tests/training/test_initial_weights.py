"""Which variables ``--load`` fills, and the name of the head."""

import numpy as np
import pytest
from networks import WIDTH, values_of, vgg_shapes, vgg_variables, write_npz
from refusals import check_refusal

from dgl.backbones import BuildOptions, get_backbone
from dgl.training.resolve import pick_head, select_weights
from dgl.weights import open_checkpoint, save_npz

VGG = get_backbone("vgg")
LOGITS = "Logits/Conv2d_1c_1x1_"


@pytest.fixture
def select(tmp_path):
    """Select weights of a VGG for 4 classes from a checkpoint of the given variables."""

    def select(variables, head="linear", width=WIDTH):
        path = str(tmp_path / "start.npz")
        save_npz(path, variables)
        options = BuildOptions(classes=4, head=head, width=width)
        return select_weights(VGG, open_checkpoint(path), options)

    return select


@pytest.mark.parametrize(
    "mode, heads, data_set, classes, expected",
    [
        # A head of the right width keeps its name ...
        ("vgg", {"linear": 200}, "cub", 200, "linear"),
        ("vgg", {"linear_cub": 5}, None, 5, "linear_cub"),
        ("resnet50", {"linearcub": 1000}, "imagenet", 1000, "linearcub"),
        ("inceptionv3", {LOGITS + "200": 1000}, "imagenet", 1000, LOGITS + "200"),
        # ... the data set's own first if there are two ...
        ("vgg", {"linear": 200, "linear_cub": 200}, "cub", 200, "linear_cub"),
        ("vgg", {"linear": 1000, "linear_cub": 200}, "imagenet", 200, "linear_cub"),
        # ... and any other width starts a new one under the data set's name.
        ("vgg", {"linear": 1000}, "cub", 200, "linear_cub"),
        ("vgg", {}, None, 7, "linear"),
        ("resnet50", {"linear": 1000}, "cub", 200, "linearcub"),
        ("inceptionv3", {LOGITS + "1000": 1000}, "cub", 200, LOGITS + "200"),
    ],
)
def test_pick_head(mode, heads, data_set, classes, expected):
    shapes = {f"{head}/W": (64, width) for head, width in heads.items()}
    if mode == "inceptionv3":
        shapes = {f"InceptionV3/{h}/weights": (1, 1, 1024, width) for h, width in heads.items()}
    assert pick_head(get_backbone(mode), shapes, data_set, classes) == expected


def test_every_value_of_a_fitting_checkpoint_is_loaded(select):
    start = select(vgg_variables(4))
    assert (start.fresh, start.unused) == ([], 0)
    np.testing.assert_equal(start.values(), vgg_variables(4))
    start = select({**vgg_variables(4), "add/b": np.full(128, np.nan)})
    check_refusal(r"start\.npz: add/b holds NaN or infinity", start.values)


HEAD = ["linear/W", "linear/b"]


@pytest.mark.parametrize(
    "changes, head, fresh, unused",
    [
        ({"linear/W": np.zeros((128, 9)), "linear/b": np.zeros(9)}, "linear", HEAD, 2),
        # An incomplete head is not loaded at all.
        ({"linear/b": np.zeros(5)}, "linear", HEAD, 2),
        ({"linear/b": None}, "linear", HEAD, 1),
        ({}, "linear_cub", ["linear_cub/W", "linear_cub/b"], 2),
        ({"add/W": None, "add/b": None}, "linear", ["add/W", "add/b"], 0),
        (
            {"fc6/W": np.zeros((5, 6)), "conv1_1/W/Momentum": np.ones((3, 3, 3, 8)),
             "global_step": np.asarray(7, "int64"), "learning_rate": np.asarray(0.1)},
            "linear", [], 4,
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit(select, changes, head, fresh, unused):
    variables = {**vgg_variables(4), **changes}
    start = select({name: v for name, v in variables.items() if v is not None}, head)
    assert (start.fresh, start.unused) == (fresh, unused)
    assert set(start.loaded) | set(fresh) == set(vgg_shapes(4, head=head))
    assert all(name in str(start) for name in fresh)


@pytest.mark.parametrize(
    "variables, width, text",
    [
        (
            {**vgg_variables(4), "conv3_2/W": np.zeros((5, 5, 32, 32))},
            WIDTH,
            r": conv3_2/W \(network \[3, 3, 32, 32\], checkpoint \[5, 5, 32, 32\]\)$",
        ),
        (vgg_variables(4), 0.25, "conv1_1/W .* and 24 more$"),
        ({"conv0/W": np.zeros((7, 7, 3, 8))}, WIDTH, r"conv1_1/W \(absent\)"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(select, variables, width, text):
    check_refusal(rf"start\.npz: does not fit --mode vgg.*{text}", select, variables, width=width)


NEW_LAYERS = {
    "vgg": ["add/W", "add/b", "linear_cub/W", "linear_cub/b"],
    "inceptionv3": [
        f"InceptionV3/Logits/{layer}/{kind}"
        for layer in ("add2", "add1", "Conv2d_1c_1x1_200")
        for kind in ("weights", "biases")
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["vgg", "inceptionv3"])
def test_published_weights_start_a_run_on_cub(tmp_path, mode):
    """Everything below the new layers is loaded; the layers of ImageNet's classes are only counted."""
    backbone = get_backbone(mode)
    own = values_of(mode, 64, width=WIDTH, classes=200, data_set="cub")
    stored = {name: array for name, array in own.items() if name not in NEW_LAYERS[mode]}
    extras = ("fc8/W", "InceptionV3/AuxLogits/weights", "InceptionV3/Logits/Conv2d_1c_1x1/weights")
    values = {**stored, **dict.fromkeys(extras, np.ones((2, 3)))}
    path = write_npz(tmp_path / "weights.npz", values)
    found = open_checkpoint(path)
    head = pick_head(backbone, found.shapes, "cub", 200)
    start = select_weights(backbone, found, BuildOptions(classes=200, head=head, width=WIDTH))
    assert start.fresh == NEW_LAYERS[mode]
    assert (start.loaded, start.unused) == (list(stored), len(extras))
