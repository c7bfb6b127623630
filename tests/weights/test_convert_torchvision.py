"""Torchvision's state dicts: converted files compute what PyTorch's modules do, geometry being equal.

The modules bear torchvision's names; their padding is TensorFlow's SAME and their last stride 1, as ours.
"""

import numpy as np
import pytest
from foreign_files import write_pth
from numpy_forward import preprocess, resnet, same_padding, vgg
from published_files import (
    CLASSES,
    OUR_MEAN,
    OUR_STD,
    assert_close,
    published_part,
    random_image,
    run,
    torchvision,
)

from dgl.weights import open_checkpoint
from dgl.weights.convert import convert


@pytest.mark.parametrize("mode, forward", [("vgg", vgg), ("resnet50", resnet)])
def test_it_computes_the_same_as_numpy(tmp_path, mode, forward):
    path = write_pth(tmp_path / "model.pth", torchvision(mode))
    done = convert(path, str(tmp_path / "out.npz"))
    checkpoint, expected = open_checkpoint(done.out), published_part(mode)
    assert set(checkpoint.shapes) == set(expected)
    assert (done.mode, done.left_out) == (mode, 2 if mode == "vgg" else 53)
    for name, array in expected.items():
        stem = name in ("conv1_1/W", "conv0/W")
        # Same means and scales: only the channels turn, and no number changes.
        np.testing.assert_array_equal(checkpoint.read(name), array[:, :, ::-1] if stem else array)
    image, last = random_image(32), "conv5_3" if mode == "vgg" else "logits"
    (found,) = run(mode, checkpoint, image, [last])
    rgb = preprocess(image, "rgb", OUR_MEAN[::-1], OUR_STD[::-1])
    assert_close(found, forward(rgb, expected)[last])


def make_modules(torch):
    """VGG and ResNet as PyTorch modules with torchvision's names, at any width."""
    nn, functional = torch.nn, torch.nn.functional

    def same(features, kernel, stride, value=0.0):
        rows = same_padding(features.shape[2], kernel, stride)
        columns = same_padding(features.shape[3], kernel, stride)
        return functional.pad(features, columns + rows, value=value)

    class Convolution(nn.Conv2d):
        def forward(self, features):
            return super().forward(same(features, self.kernel_size[0], self.stride[0]))

    class Bottleneck(nn.Module):
        def __init__(self, inputs, channels, stride):
            super().__init__()
            self.conv1 = Convolution(inputs, channels, 1, bias=False)
            self.conv2 = Convolution(channels, channels, 3, stride, bias=False)
            self.conv3 = Convolution(channels, 4 * channels, 1, bias=False)
            self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
            self.bn3, self.downsample = nn.BatchNorm2d(4 * channels), None
            if inputs != 4 * channels:
                self.downsample = nn.Sequential(
                    Convolution(inputs, 4 * channels, 1, stride, bias=False),
                    nn.BatchNorm2d(4 * channels),
                )

        def forward(self, features):
            out = torch.relu(self.bn1(self.conv1(features)))
            out = torch.relu(self.bn2(self.conv2(out)))
            shortcut = features if self.downsample is None else self.downsample(features)
            return torch.relu(self.bn3(self.conv3(out)) + shortcut)

    class ResNet(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.conv1 = Convolution(3, width, 7, 2, bias=False)
            self.bn1, inputs = nn.BatchNorm2d(width), width
            for group, (blocks, stride) in enumerate(((3, 1), (4, 2), (6, 1), (3, 1))):
                channels, layers = width * 2**group, []
                for block in range(blocks):
                    layers.append(Bottleneck(inputs, channels, 1 if block else stride))
                    inputs = 4 * channels
                setattr(self, f"layer{group + 1}", nn.Sequential(*layers))
            self.fc = nn.Linear(inputs, CLASSES)

        def forward(self, image):
            out = torch.relu(self.bn1(self.conv1(image)))
            out = functional.max_pool2d(same(out, 3, 2, -np.inf), 3, 2)
            out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
            return self.fc(out.mean((2, 3)))

    class VGG(nn.Module):
        def __init__(self, width):
            super().__init__()
            layers, inputs = [], 3
            for scale, repeats in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
                for _ in range(repeats):
                    layers += [nn.Conv2d(inputs, width * scale, 3, padding=1), nn.ReLU()]
                    inputs = width * scale
                layers.append(nn.MaxPool2d(2, 2))
            self.features = nn.Sequential(*layers)
            self.avgpool = nn.AdaptiveAvgPool2d(7)
            self.classifier = nn.Sequential(
                nn.Linear(49 * inputs, 32), nn.ReLU(), nn.Dropout(),
                nn.Linear(32, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, CLASSES),
            )  # fmt: skip

        def top(self, features):
            """The logits from what conv5_3 gives: pool5, fc6-fc8."""
            return self.classifier(self.avgpool(self.features[30](features)).flatten(1))

        def forward(self, image):
            return self.top(self.features[:30](image))

    return {"vgg": VGG, "resnet50": ResNet}


def randomized(torch, module):
    """Random weights, and averages that are not those of a new network; evaluation mode."""
    torch.manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() == 1 and tensor.is_floating_point():
            tensor.uniform_(0.3, 0.7)
        elif tensor.dim() > 1:
            tensor.normal_(0, float(np.sqrt(2.0 / np.prod(tensor.shape[1:]))))
    return module.eval()


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize(
    "mode, kind",
    [("vgg", "safetensors"), ("resnet50", "zip")],
)
def test_it_computes_the_same_as_pytorch(tmp_path, mode, kind):
    torch = pytest.importorskip("torch")
    module = randomized(torch, make_modules(torch)[mode](8))
    path = str(tmp_path / "model.pth")
    if kind == "safetensors":
        library = pytest.importorskip("safetensors.torch")
        path = str(tmp_path / "model.safetensors")
        library.save_file(dict(module.state_dict()), path)
    else:
        torch.save(module.state_dict(), path)
    checkpoint = open_checkpoint(convert(path, str(tmp_path / "out.npz")).out)
    image = random_image(32, 3)
    rgb = preprocess(image, "rgb", OUR_MEAN[::-1], OUR_STD[::-1]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        pixels = torch.from_numpy(np.ascontiguousarray(rgb, "float32"))
        if mode == "resnet50":
            (found,) = run(mode, checkpoint, image, ["logits"])
        else:
            (features,) = run(mode, checkpoint, image, ["conv5_3"])
            features = np.ascontiguousarray(features.transpose(0, 3, 1, 2))
            assert_close(features, module.features[:30](pixels).numpy())
            found = module.top(torch.from_numpy(features)).numpy()
        assert_close(found, module(pixels).numpy())
