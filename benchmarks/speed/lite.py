"""EfficientNet-Lite as a list of convolutions, which every library of the speed benchmark builds it from.

The weights are the published ones. BatchNorm is folded into the convolutions for all libraries alike,
except where a contender is measured as people have the network.
"""

from typing import List, NamedTuple, Tuple

import numpy as np

from dgl.backbones import get_backbone
from dgl.weights import open_weights

EPSILON = 1e-3
MEAN, STD = 127.0, 128.0
# Blocks of stride 2, whose outputs are half as large as those before.
_HALVING = {
    "efficientnet_lite0": ("block1", "block3", "block5", "block11"),
    "efficientnet_lite2": ("block1", "block4", "block7", "block15"),
}


class Convolution(NamedTuple):
    """A convolution with what follows it.

    Attributes:
        name: variables' prefix, such as ``"block3/expand"``.
        kernel: (K, K, in, out), depthwise (K, K, C, 1), BatchNorm not folded.
        norm: gamma, beta, mean and variance, (out,) each.
        stride: 1 or 2.
        padding: zeros before and after, of rows and columns alike.
        depthwise: whether each channel has its own filter.
        relu6: whether ReLU6 follows.
    """

    name: str
    kernel: np.ndarray
    norm: Tuple[np.ndarray, ...]
    stride: int
    padding: Tuple[int, int]
    depthwise: bool
    relu6: bool

    def folded(self) -> Tuple[np.ndarray, np.ndarray]:
        """Kernel and bias with BatchNorm in them."""
        gamma, beta, mean, variance = self.norm
        scale = gamma / np.sqrt(variance + EPSILON)
        kernel = self.kernel * (scale[:, None] if self.depthwise else scale)
        return kernel, beta - mean * scale

    def torch_kernel(self, kernel: np.ndarray) -> np.ndarray:
        """A kernel in the order of PyTorch and ONNX, (out, in, K, K)."""
        axes = (2, 3, 0, 1) if self.depthwise else (3, 2, 0, 1)
        return np.ascontiguousarray(kernel.transpose(axes))


class Stage(NamedTuple):
    """Stem, block or head: its convolutions, and whether its input is added to their output."""

    name: str
    convolutions: List[Convolution]
    adds: bool


def coarse_layers(mode: str) -> List[str]:
    """Head and blocks of strides 32 and 16 (of Lite0 at 224 pixels, 7 x 7 and 14 x 14)."""
    layers = get_backbone(mode).layers
    return list(layers[: layers.index(_HALVING[mode][2]) + 1])


def write(path: str, mode: str) -> None:
    """Write the published weights under this project's names, a NumPy archive."""
    checkpoint = open_weights(get_backbone(mode), mode)
    np.savez(path, **{name: checkpoint.read(name) for name in checkpoint.shapes})


def read(path: str, mode: str) -> Tuple[List[Stage], np.ndarray, np.ndarray]:
    """Stages, and the classifier's weights (C, classes) and bias, of :func:`write`'s file."""
    with np.load(path) as archive:
        values = {name: archive[name] for name in archive.files}
    size = get_backbone(mode).image_size
    blocks = sum(name.endswith("/project/W") for name in values)
    stages = []
    for name in ["stem", *(f"block{index}" for index in range(blocks)), "head"]:
        inside = ("expand/", "depthwise/", "project/") if name.startswith("block") else ("",)
        convolutions = []
        for part in inside:
            prefix = f"{name}/{part}"
            if prefix + "W" not in values:
                continue
            halves = part == "depthwise/" and name in _HALVING[mode]
            stride = 2 if name == "stem" or halves else 1
            kernel = values[prefix + "W"]
            out = -(-size // stride)
            zeros = max(0, (out - 1) * stride + kernel.shape[0] - size)
            norms = ("gamma", "beta", "mean/EMA", "variance/EMA")
            convolutions.append(
                Convolution(
                    prefix[:-1],
                    kernel,
                    tuple(values[f"{prefix}bn/{kind}"] for kind in norms),
                    stride,
                    (zeros // 2, zeros - zeros // 2),
                    part == "depthwise/",
                    part != "project/",
                )
            )
            size = out
        same = convolutions[0].kernel.shape[2] == convolutions[-1].kernel.shape[3]
        plain = all(one.stride == 1 for one in convolutions)
        stages.append(Stage(name, convolutions, name.startswith("block") and same and plain))
    return stages, values["linear/W"], values["linear/b"]
