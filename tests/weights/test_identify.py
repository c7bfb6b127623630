"""Which backbone a checkpoint is of, by its variables."""

import pytest
from networks import options_of, shapes_of, values_of, write_npz
from published_files import torchvision
from refusals import refusal

from dgl.backbones import BACKBONES
from dgl.backbones.resnet import BLOCKS_BY_DEPTH
from dgl.weights import Checkpoint, ModelCard, write_card
from dgl.weights.identify import identify, mode_for, mode_of


def shapes_with(mode, norm="none"):
    """Variable name -> shape; the deeper ResNets as one of 50 layers with the blocks it lacks."""
    depth = int(mode[6:9].rstrip("se")) if mode.startswith("resnet") else 50
    if depth == 50:
        return dict(shapes_of(mode, 32, options_of(mode, 3, width=1 / 8, norm=norm)))
    shapes = shapes_with(mode.replace(str(depth), "50"))
    for group, count in enumerate(BLOCKS_BY_DEPTH[depth]):
        for block in range(count):
            for name in ("conv1/W", "conv2/W", "conv3/W"):
                shapes[f"group{group}/block{block}/{name}"] = (1, 1, 4, 4)
    return shapes


def identified(shapes):
    return identify(Checkpoint("some.npz", shapes, None))


@pytest.mark.parametrize("mode, norm", [(mode, "none") for mode in BACKBONES] + [("vgg", "bn")])
def test_every_backbone(mode, norm):
    shapes = shapes_with(mode, norm)
    assert identified(shapes) == mode
    shapes.update({name + "/Momentum": shape for name, shape in list(shapes.items())})
    shapes["global_step"] = ()
    assert identified(shapes) == mode


@pytest.mark.parametrize(
    "names, parts",
    [
        ([], ["begins with nothing", "vgg", "inceptionv3"]),
        (["\x1b]0;title\x07"], ["\\x1b"]),
        (["conv0/W"], ["conv0/W", "resnet152"]),
        (["conv0/W", "group2/block7/conv1/W"], ["conv0/W", "resnet50"]),
    ],
)
def test_anything_else_is_told(names, parts):
    shapes = dict.fromkeys(names, (1, 1))
    assert mode_of(shapes) is None
    message = refusal(identified, shapes)
    assert message.startswith("some.npz: ") and all(part in message for part in parts)


def test_weights_under_a_publisher_s_names_are_to_be_converted():
    shapes = {name: array.shape for name, array in torchvision("vgg").items()}
    message = refusal(identified, shapes)
    assert "torchvision" in message and "dgl convert some.npz" in message


def test_the_card_goes_first(tmp_path):
    path = write_npz(tmp_path / "a.npz", values_of("vgg", 32, width=0.125))
    assert mode_for(path) == "vgg"
    for mode, expected in (("resnet50", "resnet50"), ("alexnet", "vgg")):
        write_card(str(tmp_path / "a.json"), ModelCard(mode, 32))
        assert mode_for(path) == expected


@pytest.mark.parametrize("name, mode", [("vgg16", "vgg"), ("resnet101se", "resnet101se")])
def test_short_names(name, mode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mode_for(name) == mode
