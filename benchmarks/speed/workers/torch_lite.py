"""EfficientNet-Lite of PyTorch's own modules."""

import numpy as np
import torch
from torch import nn

from benchmarks.speed import lite


class LiteNet(nn.Module):
    """The classifier; ``features`` has one module for each of stem, blocks and head, by name.

    Args:
        path, mode: see :func:`benchmarks.speed.lite.read`.
        folded: whether BatchNorm is part of the convolutions or follows them.
    """

    def __init__(self, path, mode, folded=True):
        super().__init__()
        stages, weights, bias = lite.read(path, mode)
        self.features = nn.Sequential()
        for stage in stages:
            self.features.add_module(stage.name, _Stage(stage, folded))
        self.linear = nn.Linear(*weights.shape)
        _set(self.linear, weight=weights.T, bias=bias)

    def forward(self, x):
        return self.linear(self.features(x).mean((2, 3)))


class _Stage(nn.Module):
    def __init__(self, stage, folded):
        super().__init__()
        self.adds = stage.adds
        self.body = nn.Sequential()
        for one in stage.convolutions:
            self.body.extend(_modules(one, folded))

    def forward(self, x):
        return self.body(x) + x if self.adds else self.body(x)


def _modules(one, folded):
    kernel, bias = one.folded() if folded else (one.kernel, None)
    kernel = one.torch_kernel(kernel)
    before, after = one.padding
    groups = len(kernel) if one.depthwise else 1
    convolution = nn.Conv2d(
        kernel.shape[1] * groups,
        len(kernel),
        kernel.shape[2],
        one.stride,
        padding=before if before == after else 0,
        groups=groups,
        bias=folded,
    )
    modules = [convolution]
    if before != after:
        modules.insert(0, nn.ZeroPad2d((before, after, before, after)))
    if folded:
        _set(convolution, weight=kernel, bias=bias)
    else:
        _set(convolution, weight=kernel)
        modules.append(nn.BatchNorm2d(len(kernel), eps=lite.EPSILON))
        gamma, beta, mean, variance = one.norm
        _set(modules[-1], weight=gamma, bias=beta, running_mean=mean, running_var=variance)
    return [*modules, nn.ReLU6()] if one.relu6 else modules


def _set(module, **values):
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, name).copy_(torch.tensor(np.ascontiguousarray(value)))
