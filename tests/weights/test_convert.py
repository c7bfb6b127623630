"""The converter's command: what it prints, where it writes, what it refuses."""

import os

import numpy as np
import pytest
import refusals
from foreign_files import write_keras, write_pth
from networks import values_of, write_npz
from published_files import (
    CLASSES,
    keras_inception,
    keras_vgg,
    published_part,
    torchvision,
    zoo,
)

from dgl.backbones import get_backbone
from dgl.cli.parser import main as dgl_main
from dgl.weights import find_weights, open_checkpoint, options_from
from dgl.weights.convert import convert

pytestmark = pytest.mark.usefixtures("graphs_once")


@pytest.fixture(scope="module")
def vgg():
    return torchvision("vgg")


def refusal(path, *args, **options):
    """The one line of the refusal; nothing is written."""
    out = options.pop("out", str(path) + ".out.npz")
    message = refusals.refusal(convert, str(path), out, *args, **options)
    assert not os.path.exists(str(path) + ".out.npz")
    return message


def test_the_command(tmp_path, monkeypatch, capsys, vgg):
    monkeypatch.chdir(tmp_path)
    assert dgl_main(["convert", write_pth(tmp_path / "published.pth", vgg)]) == 0
    out = os.path.join("pretrain_model", "vgg16.npz")
    printed = capsys.readouterr().out
    assert printed.startswith(f"wrote {out}: ") and printed.count("\n") == 1
    assert "(2 unused" in printed and "RGB, ImageNet mean" in printed
    found = find_weights(get_backbone("vgg"), "vgg")
    assert os.path.samefile(found, out)
    assert set(open_checkpoint(found).shapes) == set(published_part("vgg"))


def test_the_input_is_never_overwritten_and_other_files_with_force_alone(tmp_path):
    path = write_npz(tmp_path / "vgg16.npz", zoo("vgg"))
    before = (tmp_path / "vgg16.npz").read_bytes()
    other = os.path.join(str(tmp_path), ".", "vgg16.npz")
    assert "is the input itself" in refusal(path, out=other, force=True)
    out = write_npz(tmp_path / "there.npz", {})
    assert "--force" in refusal(path, out=out)
    assert (tmp_path / "vgg16.npz").read_bytes() == before
    assert "expected a name ending in .npz" in refusal(path, out=str(tmp_path / "b.h5"))


def _with(mode="vgg", **changed):
    """Torchvision's network with other arrays, or without those that are ``None``."""
    changed = {name.replace("_", "."): value for name, value in changed.items()}

    def make(path):
        values = dict(torchvision(mode), **changed)
        return write_pth(path, {name: v for name, v in values.items() if v is not None})

    return make


def _keras(layers, leave_out=None):
    """Layers of Keras without a layer, or without one's kernel."""

    def make(path):
        kept = [
            (name, [(kind, v) for kind, v in weights if f"{name}/{kind}" != leave_out])
            for name, weights in layers()
            if name != leave_out
        ]
        return write_keras(path, kept)

    return make


def _archive(values):
    return lambda path: write_npz(path, values())


_BLOCKS = [(g, b) for g, count in enumerate((3, 4, 23, 3)) for b in range(count)]
_DEEP_SE = {f"group{g}/block{b}/conv3/W": np.zeros(1) for g, b in _BLOCKS}
_DEEP_SE.update({"conv0/W": np.zeros(1), "group0/block0/fc1/W": np.zeros(1)})
_FOURTH = np.zeros((3, 3, 32, 32), "float32")
_FOURTH_LAYER = [("block3_conv4", [("kernel", _FOURTH)])]
_OWN = "has this project's names already; give it to --load"


@pytest.mark.parametrize(
    "make, message",
    [
        (
            _archive(lambda: {"some": np.zeros(2), "thing": np.zeros(3)}),
            "not recognized as weights published by tensorpack's model zoo, TF-slim",
        ),
        (_archive(lambda: values_of("vgg", width=0.125)), _OWN),
        (_archive(lambda: dict(zoo("vgg"), **{"conv3_4/W": _FOURTH})), _OWN),
        (_archive(lambda: _DEEP_SE), "is not known to publish resnet101se"),
        # Other VGGs of torchvision and Keras.
        (_with(features_1_weight=np.zeros(8, "float32")), "not recognized"),
        (_keras(lambda: keras_vgg() + _FOURTH_LAYER), "not recognized"),
        (_with(features_10_weight=None), "does not fit vgg: features.10.weight (absent)"),
        (_with(features_0_bias=None), "does not fit vgg: features.0.bias (absent)"),
        (_keras(keras_vgg, "block1_conv1/kernel"), "block1_conv1/kernel (absent)"),
        (
            _keras(keras_vgg, "block3_conv2"),
            "fit vgg: block3_conv2/kernel (absent), block3_conv2/bias",
        ),
        (
            _keras(lambda: keras_inception(first=1), "conv2d_30"),
            "does not fit inceptionv3: conv2d_30/kernel (absent)",
        ),
        (
            _with(features_5_weight=np.zeros((16, 9, 3, 3), "float32")),
            "features.5.weight (network [16, 8, 3, 3], checkpoint [16, 9, 3, 3])",
        ),
        (
            _with(features_0_weight=np.zeros(8, "float32")),
            "conv1_1/W is [8], expected a convolution's weights with 1 to 1024 output channels",
        ),
        (
            _with(features_0_weight=np.zeros((1024, 3, 3, 3), "float32")),
            "features.0.bias (network [1024], checkpoint [8])",
        ),
        (
            _with("resnet50", fc_weight=np.zeros((0, 256), "float32")),
            "fc.weight (network [1, 256], checkpoint [0, 256])",
        ),
        (_with(features_5_weight=np.full((16, 8, 3, 3), np.nan)), "features.5.weight holds NaN"),
    ],
)
def test_refused(tmp_path, make, message):
    assert message in refusal(make(tmp_path / "a.npz"))


def test_the_mode_must_be_the_file_s(tmp_path, vgg):
    path = write_pth(tmp_path / "a.pth", vgg)
    assert "weights of vgg, not of --mode resnet50" in refusal(path, mode="resnet50")
    assert "unknown backbone" in refusal(path, mode="nothing")


def test_missing_blocks_leave_the_depth_open(tmp_path):
    values = torchvision("resnet50")
    values = {name: v for name, v in values.items() if not name.startswith("layer3.5")}
    path = write_pth(tmp_path / "a.pth", values)
    assert "with --mode: resnet50, resnet101, resnet152" in refusal(path)
    message = refusal(path, mode="resnet50")
    assert "fit resnet50: layer3.5.conv1.weight (absent), layer3.5.bn1.weight" in message
    assert message.endswith("and 11 more")


def test_features_only_weights_are_not_taken_for_the_others(tmp_path, vgg):
    values = dict(vgg, **{"classifier.6.bias": np.full(CLASSES, np.nan, "float32")})
    assert "expect other means" in refusal(write_pth(tmp_path / "a.pth", values))


def test_published_as_names_a_file_of_the_publisher(tmp_path):
    message = refusal(write_npz(tmp_path / "a.npz", zoo("vgg")), published_as="vgg16-397923af.pth")
    assert message.startswith("--published-as vgg16-397923af.pth: tensorpack's model zoo of vgg")


def test_loading_a_convertible_file_suggests_to_convert_it(tmp_path, vgg):
    checkpoint = open_checkpoint(write_pth(tmp_path / "a.pth", vgg))
    message = refusals.refusal(options_from, get_backbone("vgg"), checkpoint)
    assert f"dgl convert {checkpoint.path}" in message
    message = refusals.refusal(options_from, get_backbone("inceptionv3"), checkpoint)
    assert "dgl convert" not in message
