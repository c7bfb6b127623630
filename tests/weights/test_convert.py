"""The converter's command: what it prints, where it writes, what it refuses."""

import os

import numpy as np
import pytest
from foreign_files import write_keras, write_pth
from networks import values_of, write_npz
from published_files import (
    CLASSES,
    keras_inception,
    keras_vgg,
    published_part,
    random,
    run,
    torchvision,
    zoo,
)

from dgl.backbones import get_backbone
from dgl.cli.parser import main as dgl_main
from dgl.errors import UserError
from dgl.weights import Checkpoint, find_weights, open_checkpoint, options_from, restore
from dgl.weights import convert as convert_module
from dgl.weights.convert import convert


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder; nothing beside the package is found."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def vgg():
    return torchvision("vgg")


def refusal(path, *args, **options):
    """The one line of the refusal; nothing is written."""
    out = options.pop("out", str(path) + ".out.npz")
    with pytest.raises(UserError) as caught:
        convert(str(path), out, *args, **options)
    assert not os.path.exists(str(path) + ".out.npz")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "mode, out",
    [("vgg", "vgg16.npz"), ("resnet50", "ImageNet-ResNet50.npz")],
)
def test_the_command(here, capsys, mode, out):
    path = write_pth(here / "published.pth", torchvision(mode))
    assert dgl_main(["convert", path]) == 0
    out = os.path.join("pretrain_model", out)
    printed = capsys.readouterr().out
    assert printed.startswith(f"wrote {out}: ") and printed.count("\n") == 1
    assert f"torchvision for --mode {mode}, {len(published_part(mode))} variables"
    assert "({} unused".format(2 if mode == "vgg" else 53) in printed
    assert "RGB, ImageNet mean" in printed
    found = find_weights(get_backbone(mode), mode)
    assert os.path.samefile(found, out)
    assert set(open_checkpoint(found).shapes) == set(published_part(mode))


def test_keeping_the_first_layer_is_said(here, capsys, vgg):
    assert (
        dgl_main(
            ["convert", write_pth(here / "a.pth", vgg), "--keep-first-layer", "--out", "b.npz"]
        )
        == 0
    )
    assert "first layer as published" in capsys.readouterr().out


def test_inception_is_found_by_its_converted_name_before_its_published_one(here):
    backbone = get_backbone("inceptionv3")
    path = write_keras(here / "inception.h5", keras_inception())
    convert(path)
    for published in (False, True):
        if published:
            (here / "pretrain_model" / "inception_v3.ckpt").write_bytes(b"")
        for short in ("inceptionv3", "inception_v3"):
            assert os.path.basename(find_weights(backbone, short)) == "inception_v3.npz"
    (here / "pretrain_model" / "inception_v3.npz").unlink()
    assert os.path.basename(find_weights(backbone, "inceptionv3")) == "inception_v3.ckpt"


def test_a_missing_short_name_says_what_to_fetch(here, monkeypatch):
    monkeypatch.setattr(restore, "PRETRAINED_FOLDER", "pretrain_model_of_the_tests")
    with pytest.raises(UserError) as caught:
        find_weights(get_backbone("vgg"), "vgg16")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "--load vgg16: ",
        "dgl fetch vgg",
        "vgg16.npz",
        "http://models",
        "dgl convert",
        str(here),
    ):
        assert part in message


def test_out_is_not_overwritten(tmp_path, vgg):
    path, out = write_pth(tmp_path / "a.pth", vgg), str(tmp_path / "b.npz")
    convert(path, out)
    assert "--force" in refusal(path, out=out)
    assert convert(path, out, force=True).out == out


def test_the_input_is_never_overwritten(tmp_path):
    path = write_npz(tmp_path / "vgg16.npz", zoo("vgg"))
    before = (tmp_path / "vgg16.npz").read_bytes()
    other = os.path.join(str(tmp_path), ".", "vgg16.npz")
    assert "is the input itself" in refusal(path, out=other, force=True)
    assert (tmp_path / "vgg16.npz").read_bytes() == before


def test_out_is_an_npz(tmp_path, vgg):
    path = write_pth(tmp_path / "a.pth", vgg)
    assert "expected a name ending in .npz" in refusal(path, out=str(tmp_path / "b.h5"))


def test_unknown_files(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"some": np.zeros(2), "thing": np.zeros(3)})
    message = refusal(path)
    assert "not recognized as weights published by tensorpack's model zoo, TF-slim" in message
    assert message.endswith("it begins with some, thing")


@pytest.mark.parametrize("mode", ["vgg", "inceptionv3"])
def test_files_of_this_project_are_left_alone(tmp_path, mode):
    path = write_npz(tmp_path / "a.npz", values_of(mode, width=0.125))
    assert "has this project's names already; give it to --load" in refusal(path)
    path = write_npz(tmp_path / "converted.npz", published_part(mode))
    assert "has this project's names already" in refusal(path)


@pytest.mark.parametrize("extra", ["features.1.weight", "features.34.weight"])
def test_other_vggs_of_torchvision(tmp_path, vgg, extra):
    path = write_pth(tmp_path / "a.pth", dict(vgg, **{extra: np.zeros(8, "float32")}))
    assert "not recognized" in refusal(path)


def test_other_vggs_of_keras_and_tensorpack(tmp_path):
    layers = keras_vgg() + [("block3_conv4", [("kernel", np.zeros((3, 3, 32, 32), "float32"))])]
    assert "not recognized" in refusal(write_keras(tmp_path / "a.h5", layers))
    values = dict(zoo("vgg"), **{"conv3_4/W": np.zeros((3, 3, 32, 32), "float32")})
    assert "this project's names" in refusal(write_npz(tmp_path / "a.npz", values))


@pytest.mark.parametrize("mode", ["resnet50", "inceptionv3", "nothing"])
def test_the_mode_must_be_the_file_s(tmp_path, vgg, mode):
    message = refusal(write_pth(tmp_path / "a.pth", vgg), mode=mode)
    expected = "unknown backbone" if mode == "nothing" else "holds weights of vgg, not of --mode "
    assert expected in message


def test_missing_blocks_leave_the_depth_open(tmp_path):
    values = torchvision("resnet50")
    values = {name: v for name, v in values.items() if not name.startswith("layer3.5")}
    path = write_pth(tmp_path / "a.pth", values)
    assert "with --mode: resnet50, resnet101, resnet152" in refusal(path)
    message = refusal(path, mode="resnet50")
    assert (
        "not the weights of resnet50: lacks layer3.5.conv1.weight, layer3.5.bn1.weight" in message
    )
    assert message.endswith("and 11 more")


@pytest.mark.parametrize("missing", ["features.10.weight", "features.0.bias"])
def test_missing_variables(tmp_path, vgg, missing):
    values = {name: v for name, v in vgg.items() if name != missing}
    message = refusal(write_pth(tmp_path / "a.pth", values))
    assert message.endswith("not the weights of vgg: lacks " + missing)


def test_missing_layers_of_keras(tmp_path):
    layers = [layer for layer in keras_vgg() if layer[0] != "block3_conv2"]
    message = refusal(write_keras(tmp_path / "a.h5", layers))
    assert message.endswith("lacks block3_conv2/kernel, block3_conv2/bias")
    layers = [layer for layer in keras_inception(first=1) if layer[0] != "conv2d_30"]
    message = refusal(write_keras(tmp_path / "b.h5", layers))
    assert message.endswith("not the weights of inceptionv3: lacks conv2d_30/kernel")


def test_wrong_shapes(tmp_path, vgg):
    values = dict(vgg)
    values["features.5.weight"] = np.zeros((16, 9, 3, 3), "float32")
    message = refusal(write_pth(tmp_path / "a.pth", values))
    assert message.endswith("features.5.weight is [16, 9, 3, 3], expected [16, 8, 3, 3]")


def test_a_first_layer_that_is_none(tmp_path, vgg):
    values = dict(vgg)
    values["features.0.weight"] = np.zeros(8, "float32")
    message = refusal(write_pth(tmp_path / "a.pth", values))
    assert message.endswith(
        "features.0.weight is [8], expected a convolution's weights with 1 to 1024 output channels"
    )


def claiming(shape, stem="features.0.weight"):
    """A checkpoint whose first layer claims more than there is."""
    values = torchvision("vgg")
    shapes = {name: array.shape for name, array in values.items()}
    shapes[stem] = shape
    return Checkpoint("claims.pth", shapes, values.__getitem__)


@pytest.mark.parametrize("channels", [0, 1025, 2**63])
def test_a_first_layer_of_absurd_width(monkeypatch, channels):
    opened = claiming((channels, 3, 3, 3))
    monkeypatch.setattr(convert_module, "open_checkpoint", lambda path: opened)
    message = refusal("claims.pth")
    assert f"claims.pth: features.0.weight is [{channels}, 3, 3, 3], expected " in message
    assert message.endswith("with 1 to 1024 output channels")


def test_the_widest_first_layer_is_compared_with_the_rest(monkeypatch):
    monkeypatch.setattr(convert_module, "open_checkpoint", lambda _: claiming((1024, 3, 3, 3)))
    assert "features.0.bias is [8], expected [1024]" in refusal("claims.pth")


@pytest.mark.parametrize("classes", [0, 2**63])
def test_a_classifier_of_absurd_width(monkeypatch, classes):
    values = torchvision("resnet50")
    shapes = {name: array.shape for name, array in values.items()}
    shapes["fc.weight"] = (classes, 256)
    opened = Checkpoint("claims.pth", shapes, values.__getitem__)
    monkeypatch.setattr(convert_module, "open_checkpoint", lambda path: opened)
    assert refusal("claims.pth").endswith(
        f"fc.weight is [{classes}, 256], expected the weights of 1 to 1000000 classes"
    )


def test_a_first_layer_that_is_missing(tmp_path):
    layers = [
        (name, [(kind, v) for kind, v in weights if (name, kind) != ("block1_conv1", "kernel")])
        for name, weights in keras_vgg()
    ]
    message = refusal(write_keras(tmp_path / "a.h5", layers))
    assert message.endswith("not the weights of vgg: lacks block1_conv1/kernel")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_numbers_that_are_none(tmp_path, vgg, bad):
    values = dict(vgg)
    values["features.5.weight"] = vgg["features.5.weight"].astype("float64")
    values["features.5.weight"][0, 0, 0, 0] = bad
    message = refusal(write_pth(tmp_path / "a.pth", values))
    assert message.endswith("features.5.weight holds NaN or infinity, expected finite weights")


@pytest.mark.parametrize("name", ["features.5.weight", "classifier.6.bias"])
@pytest.mark.parametrize("dtype", ["U5", "complex64", "bool"])
def test_weights_that_are_no_numbers(tmp_path, vgg, name, dtype):
    values = dict(vgg, **{name: np.zeros(vgg[name].shape, dtype)})
    path = write_npz(tmp_path / "a.npz", values)
    if name == "classifier.6.bias":  # is not used
        assert convert(path, str(tmp_path / "b.npz")).left_out == 2
    else:
        expected = f"{path}: {name} holds {np.dtype(dtype)}, expected real numbers"
        assert refusal(path) == expected


def test_features_only_weights_are_not_taken_for_the_others(tmp_path, vgg):
    values = dict(vgg, **{"classifier.6.bias": np.full(CLASSES, np.nan, "float32")})
    assert "expect other means" in refusal(write_pth(tmp_path / "a.pth", values))


def test_a_renamed_file_is_taken_for_the_one_that_dgl_started_from(tmp_path):
    path = write_npz(tmp_path / "a.npz", zoo("vgg"))
    done = convert(path, str(tmp_path / "b.npz"))
    assert done.published.file_name == "vgg16.npz"
    message = refusal(path, published_as="vgg16-397923af.pth")
    assert message.startswith("--published-as vgg16-397923af.pth: tensorpack's model zoo of vgg")


def test_nobody_publishes_a_deep_squeeze_excite(tmp_path):
    blocks = [(g, b) for g, count in enumerate((3, 4, 23, 3)) for b in range(count)]
    values = {f"group{g}/block{b}/conv3/W": np.zeros(1) for g, b in blocks}
    values.update({"conv0/W": np.zeros(1), "group0/block0/fc1/W": np.zeros(1)})
    path = write_npz(tmp_path / "a.npz", values)
    assert "tensorpack's model zoo is not known to publish resnet101se" in refusal(path)


@pytest.mark.parametrize("mode", ["vgg", "resnet50"])
def test_loading_a_convertible_file_suggests_to_convert_it(tmp_path, mode):
    checkpoint = open_checkpoint(write_pth(tmp_path / "a.pth", torchvision(mode)))
    with pytest.raises(UserError) as caught:
        options_from(get_backbone(mode), checkpoint)
    message = str(caught.value)
    command = f"dgl convert {checkpoint.path}"
    assert "\n" not in message and command in message
    with pytest.raises(UserError) as caught:
        options_from(get_backbone("inceptionv3"), checkpoint)
    assert "dgl convert" not in str(caught.value)


def test_half_precision_becomes_single(tmp_path, vgg):
    values = {name: array.astype("float16") for name, array in vgg.items()}
    done = convert(write_pth(tmp_path / "a.pth", values), str(tmp_path / "b.npz"))
    checkpoint = open_checkpoint(done.out)
    assert checkpoint.read("conv3_1/W").dtype == np.float32
    assert np.isfinite(run("vgg", checkpoint, random("image", (1, 32, 32, 3)), ["logits"])[0]).all()
