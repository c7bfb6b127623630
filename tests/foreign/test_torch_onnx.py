"""Networks of PyTorch through ONNX: logits and DGL maps are PyTorch's own."""

import numpy as np
import pytest

from dgl.foreign import layers_of, logits_of
from dgl.predict.graph_predictor import GraphPredictor

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from torch import nn
from torch_networks import dgl_map

from dgl.foreign.onnx_graph import load_onnx
from dgl.predict.session import open_session

pytestmark = pytest.mark.peer

ALPHA = 10.0
CLASS_INDEX = [3, 1]
CLOSE = 1e-4  # of the map's largest value, single precision in both


class Of(nn.Module):
    """A function of what several modules make of the same input."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x):
        return self.function(*(part(x) for part in self.parts))


def total(*parts):
    return Of(torch.add, *parts)


def conv(channels, wider, *settings, act=None, norm=nn.BatchNorm2d, **more):
    """A convolution, its normalization and its nonlinearity."""
    parts = [nn.Conv2d(channels, wider, *settings, bias=norm is None, **more)]
    parts += [norm(wider)] if norm else []
    parts += [act()] if act else []
    return nn.Sequential(*parts)


def residual(channels, wider, stride):
    """ResNet's basic block."""
    inner = nn.Sequential(
        conv(channels, wider, 3, stride, 1, act=nn.ReLU), conv(wider, wider, 3, 1, 1)
    )
    is_same = stride == 1 and wider == channels
    beside = nn.Identity() if is_same else conv(channels, wider, 1, stride)
    return nn.Sequential(total(inner, beside), nn.ReLU())


def inverted(channels, wider):
    """EfficientNet's block: expansion, depthwise convolution, squeeze and excitation, bottleneck."""
    inner = 4 * channels
    gate = nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        conv(inner, 2, 1, act=nn.SiLU, norm=None),
        conv(2, inner, 1, act=nn.Sigmoid, norm=None),
    )
    block = nn.Sequential(
        conv(channels, inner, 1, act=nn.SiLU),
        conv(inner, inner, 3, 1, 1, groups=inner, act=nn.SiLU),
        Of(torch.mul, nn.Identity(), gate),
        conv(inner, wider, 1),
    )
    return total(nn.Identity(), block) if channels == wider else block


class Turned(nn.Module):
    """Modules that take channels last, and a scale for each of the channels."""

    def __init__(self, channels, *parts):
        super().__init__()
        self.parts = nn.Sequential(*parts)
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x):
        return (self.scale * self.parts(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def convnext_block(channels):
    """A large depthwise convolution, LayerNorm and GELU with channels last."""
    dense = nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
    far = nn.Conv2d(channels, channels, 7, 1, 3, groups=channels)
    turned = Turned(channels, nn.LayerNorm(channels, eps=1e-6), *dense)
    return total(nn.Identity(), nn.Sequential(far, turned))


class Classifier(nn.Module):
    """Features up to the layer that the map is of, what is behind it, and a linear head."""

    def __init__(self, features, rest, channels, norm=None):
        super().__init__()
        self.features, self.rest = nn.Sequential(*features), nn.Sequential(*rest)
        self.norm = norm or nn.Identity()
        self.head = nn.Linear(channels, 5)

    def behind(self, layer):
        return self.head(self.norm(self.rest(layer).mean([2, 3])))

    def forward(self, x):
        return self.behind(self.features(x))


def resnet():
    stem = conv(3, 8, 7, 2, 3, act=nn.ReLU)
    return Classifier([stem, nn.MaxPool2d(3, 2, 1), residual(8, 8, 1)], [residual(8, 16, 2)], 16)


def efficientnet():
    stem, last = conv(3, 8, 3, 2, 1, act=nn.SiLU), conv(12, 20, 1, act=nn.SiLU)
    return Classifier([stem, inverted(8, 8)], [inverted(8, 12), last], 20)


def convnext():
    features, rest = [nn.Conv2d(3, 8, 4, 4), convnext_block(8)], [nn.Conv2d(8, 12, 2, 2)]
    return Classifier(features, [*rest, convnext_block(12)], 12, nn.LayerNorm(12, eps=1e-6))


def made(make):
    torch.manual_seed(len(make.__name__))
    network = make()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.2)
    return network.eval()


@pytest.mark.parametrize("make", [resnet, efficientnet, convnext])
def test_logits_and_maps_are_pytorch_s(make, tmp_path):
    network, images = made(make), torch.rand(2, 3, 32, 32)
    path = str(tmp_path / "model.onnx")
    axes = {"image": {0: "images"}, "scores": {0: "images"}}
    names = {"input_names": ["image"], "output_names": ["scores"], "dynamic_axes": axes}
    torch.onnx.export(network, (images,), path, dynamo=False, **names)
    expected, layer = [], network.features(images).detach()
    for one, class_index in zip(layer, CLASS_INDEX):
        one = one[None].requires_grad_()
        expected.append(dgl_map(network.behind(one), one, class_index, ALPHA))
    logits, activation = network.behind(layer).detach().numpy(), layer.numpy()
    loaded = load_onnx(path)
    scores = logits_of(loaded.output())
    image = loaded.inputs["image"]
    # The layer is known by its values: the exporter names operations in its own way.
    shape = list(activation.shape[1:])
    layers = {k: t for k, t in layers_of(scores).items() if t.shape.as_list()[1:] == shape}
    with loaded.graph.as_default(), open_session() as session:
        # Copies, because TensorFlow may fuse the operations themselves.
        copies = {k: 1.0 * t for k, t in layers.items()}
        values = session.run(copies, {image: images.numpy()})
    (key,) = [k for k, value in values.items() if np.allclose(value, activation, atol=1e-4)][:1]
    with GraphPredictor(scores, {key: layers[key]}, image, ["dgl"], ALPHA) as predictor:
        found = predictor(images.numpy(), CLASS_INDEX)
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-3)
    atol = CLOSE * np.abs(expected).max()
    np.testing.assert_allclose(found.maps["dgl", key], expected, rtol=0, atol=atol)
