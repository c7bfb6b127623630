"""Networks of PyTorch through ONNX: logits and DGL maps are PyTorch's own."""

import numpy as np
import pytest

from dgl.foreign import layers_of, logits_of
from dgl.predict.graph_predictor import GraphPredictor

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from torch import nn
from torch.nn import functional

from dgl.foreign.onnx_graph import load_onnx
from dgl.predict.session import open_session

pytestmark = pytest.mark.peer

ALPHA = 10.0
CLASS_INDEX = [3, 1]
CLOSE = 1e-4  # of the map's largest value, single precision in both


class Residual(nn.Module):
    """ResNet's basic block."""

    def __init__(self, channels, wider, stride):
        super().__init__()
        self.one = nn.Conv2d(channels, wider, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(wider, wider, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(wider), nn.BatchNorm2d(wider)])
        self.beside = nn.Identity()
        if stride > 1 or wider != channels:
            self.beside = nn.Sequential(
                nn.Conv2d(channels, wider, 1, stride, bias=False), nn.BatchNorm2d(wider)
            )

    def forward(self, x):
        y = torch.relu(self.norms[0](self.one(x)))
        return torch.relu(self.norms[1](self.two(y)) + self.beside(x))


class Inverted(nn.Module):
    """EfficientNet's block: expansion, depthwise convolution, squeeze and excitation, bottleneck."""

    def __init__(self, channels, wider):
        super().__init__()
        inner = 4 * channels
        self.before = nn.Sequential(
            *(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.SiLU()),
            *(nn.Conv2d(inner, inner, 3, 1, 1, groups=inner, bias=False), nn.BatchNorm2d(inner)),
            nn.SiLU(),
        )
        self.gate = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inner, 2, 1), nn.SiLU()),
            *(nn.Conv2d(2, inner, 1), nn.Sigmoid()),
        )
        self.after = nn.Sequential(nn.Conv2d(inner, wider, 1, bias=False), nn.BatchNorm2d(wider))
        self.is_residual = channels == wider

    def forward(self, x):
        y = self.before(x)
        y = self.after(y * self.gate(y))
        return x + y if self.is_residual else y


class Next(nn.Module):
    """ConvNeXt's block: a large depthwise convolution, LayerNorm and GELU with channels last."""

    def __init__(self, channels):
        super().__init__()
        self.far = nn.Conv2d(channels, channels, 7, 1, 3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.one, self.two = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x):
        y = self.norm(self.far(x).permute(0, 2, 3, 1))
        y = self.scale * self.two(functional.gelu(self.one(y)))
        return x + y.permute(0, 3, 1, 2)


class Classifier(nn.Module):
    """Features up to the layer that the map is of, what is behind it, and a linear head."""

    def __init__(self, features, rest, channels, norm=None):
        super().__init__()
        self.features, self.rest = features, rest
        self.norm = norm or nn.Identity()
        self.head = nn.Linear(channels, 5)

    def behind(self, layer):
        return self.head(self.norm(self.rest(layer).mean([2, 3])))

    def forward(self, x):
        return self.behind(self.features(x))


def resnet():
    stem = (nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    features = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), Residual(8, 8, 1))
    return Classifier(features, Residual(8, 16, 2), 16)


def efficientnet():
    stem = (nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
    rest = (Inverted(8, 12), nn.Conv2d(12, 20, 1, bias=False), nn.BatchNorm2d(20), nn.SiLU())
    return Classifier(nn.Sequential(*stem, Inverted(8, 8)), nn.Sequential(*rest), 20)


def convnext():
    features = nn.Sequential(nn.Conv2d(3, 8, 4, 4), Next(8))
    rest = nn.Sequential(nn.Conv2d(8, 12, 2, 2), Next(12))
    return Classifier(features, rest, 12, nn.LayerNorm(12, eps=1e-6))


def made(name):
    torch.manual_seed(len(name))
    network = {"resnet": resnet, "efficientnet": efficientnet, "convnext": convnext}[name]()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.2)
    return network.eval()


def dgl_of(network, images):
    """(logits, activation, map) by PyTorch's gradients."""
    layer = network.features(images).detach().requires_grad_()
    logits = network.behind(layer)
    target = functional.one_hot(torch.tensor(CLASS_INDEX), logits.shape[1]).float()
    signal = torch.softmax(logits.detach(), 1) - ALPHA * target
    of_class, of_loss = (
        torch.autograd.grad(logits, layer, one, retain_graph=True)[0] for one in (target, signal)
    )

    def unit(tensor):
        return tensor / tensor.flatten(1).norm(dim=1)[:, None, None, None]

    found = (of_class * (unit(layer.detach()) - unit(of_loss))).sum(1)
    return [tensor.detach().numpy() for tensor in (logits, layer, found)]


@pytest.mark.parametrize("name", ["resnet", "efficientnet", "convnext"])
def test_logits_and_maps_are_pytorch_s(name, tmp_path):
    network, images = made(name), torch.rand(2, 3, 32, 32)
    path = str(tmp_path / "model.onnx")
    torch.onnx.export(
        network,
        (images,),
        path,
        input_names=["image"],
        output_names=["scores"],
        dynamo=False,
        dynamic_axes={"image": {0: "images"}, "scores": {0: "images"}},
    )
    logits, activation, expected = dgl_of(network, images)
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
    raw = found.maps["dgl", key]
    np.testing.assert_allclose(raw, expected, rtol=0, atol=CLOSE * np.abs(expected).max())
