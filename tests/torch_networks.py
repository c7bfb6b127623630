"""The four networks a second time, in PyTorch and float64, from nothing but named variables.

Structure comes from the names: what a name says (`group1/block0/convshortcut`, `Branch_2/Conv2d_0b_3x3`)
is built, so nothing is shared with the graphs under test.
"""

import re

import numpy as np
import torch
import torch.nn.functional as F

MEAN_BGR = 255 * np.array([0.406, 0.456, 0.485])
STD_BGR = 255 * np.array([0.225, 0.224, 0.229])


def prepare(images):
    """(N, H, W, 3) BGR in 0..255 -> normalized (N, 3, H, W) float64 tensor."""
    return torch.tensor(((np.asarray(images, float) - MEAN_BGR) / STD_BGR).transpose(0, 3, 1, 2))


def pad_same(x, kernel, stride, value=0.0):
    """TensorFlow's SAME padding, the odd pixel at the bottom and right."""
    pads = []
    for size, side in ((x.shape[3], kernel[1]), (x.shape[2], kernel[0])):
        total = max((-(-size // stride) - 1) * stride + side - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def max_pool(x, size, stride, same=False):
    x = pad_same(x, (size, size), stride, -np.inf) if same else x
    return F.max_pool2d(x, size, stride)


class Network:
    """Forward pass by backbone.

    Args:
        mode: ``"vgg"``, ``"resnet50"``, ``"resnet50se"`` or ``"inceptionv3"``.
        values: variable name -> array.
        training: batch statistics in BatchNorm; dropout is left out.
    """

    def __init__(self, mode, values, training=False):
        self.mode, self.training, self.endpoints = mode, training, {}
        self.variables = {
            name: torch.tensor(np.asarray(value, "float64")) for name, value in values.items()
        }

    def __call__(self, x):
        """Logits (N, classes) of :func:`prepare`'s output; fills :attr:`endpoints`, in NCHW."""
        self.endpoints.clear()
        forward = {"vgg": self._vgg, "inceptionv3": self._inception}.get(self.mode, self._resnet)
        return forward(x)

    def _keep(self, name, x):
        self.endpoints[name] = x if x.requires_grad else x.requires_grad_()
        return self.endpoints[name]

    def _conv(self, x, weights, stride=1, biases=None):
        kernel = self.variables[weights].permute(3, 2, 0, 1)
        x = pad_same(x, kernel.shape[2:], stride)
        return F.conv2d(x, kernel, self.variables.get(biases), stride=stride)

    def _norm(self, x, mean, variance, beta, gamma=None, epsilon=1e-5):
        """BatchNorm; the variables' names, of which there may be no ``gamma``."""
        weight = self.variables[gamma] if gamma else None
        averages = None if self.training else self.variables[mean]
        variance = None if self.training else self.variables[variance]
        beta = self.variables[beta]
        return F.batch_norm(x, averages, variance, weight, beta, self.training, eps=epsilon)

    def _dense(self, x, name):
        return x @ self.variables[name + "/W"] + self.variables[name + "/b"]

    def _head(self, x):
        name = next(n for n in self.variables if re.match(r"linear[^/]*/W$", n))
        return self._dense(x.mean((2, 3)), name[:-2])

    def _vgg(self, x):
        for block, repeats in enumerate((2, 2, 3, 3, 3), 1):
            for index in range(1, repeats + 1):
                name = f"conv{block}_{index}"
                x = self._keep(name, F.relu(self._conv(x, name + "/W", biases=name + "/b")))
            if block < 5:
                x = self._keep(f"pool{block}", max_pool(x, 2, 2))
        return self._head(self._keep("add", F.relu(self._conv(x, "add/W", biases="add/b"))))

    def _conv_norm(self, x, name, stride=1):
        x = self._conv(x, name + "/W", stride)
        parts = ("mean/EMA", "variance/EMA", "beta", "gamma")
        return self._norm(x, *(f"{name}/bn/{part}" for part in parts))

    def _resnet(self, x):
        x = self._keep("conv0", F.relu(self._conv_norm(x, "conv0", 2)))
        x = self._keep("pool0", max_pool(x, 3, 2, same=True))
        found = (re.match(r"group\d/block\d+", name) for name in self.variables)
        blocks = {match.group(0) for match in found if match}
        for block in sorted(blocks, key=lambda b: tuple(map(int, re.findall(r"\d+", b)))):
            stride = 2 if block == "group1/block0" else 1
            out = F.relu(self._conv_norm(x, block + "/conv1"))
            out = F.relu(self._conv_norm(out, block + "/conv2", stride))
            out = self._conv_norm(out, block + "/conv3")
            if block + "/fc1/W" in self.variables:
                gate = F.relu(self._dense(out.mean((2, 3)), block + "/fc1"))
                out = out * torch.sigmoid(self._dense(gate, block + "/fc2"))[:, :, None, None]
            if block + "/convshortcut/W" in self.variables:
                x = self._conv_norm(x, block + "/convshortcut", stride)
            x = self._keep(block + "_shortcut", F.relu(out + x))
        return self._head(x)

    def _slim(self, x, name, stride=1):
        name = "InceptionV3/" + name
        x = self._conv(x, name + "/weights", stride)
        parts = ("moving_mean", "moving_variance", "beta")
        names = (f"{name}/BatchNorm/{part}" for part in parts)
        return F.relu(self._norm(x, *names, epsilon=1e-3))

    def _mixed(self, x, block):
        found = re.compile(f"InceptionV3/({block}/Branch_\\d)/([^/]+)/weights")
        branches = {}
        for match in filter(None, map(found.match, sorted(self.variables))):
            branches.setdefault(match.group(1), []).append(match.group(2))
        outputs = []
        for branch, layers in branches.items():
            out = x
            if branch.endswith("Branch_3"):
                ones = pad_same(torch.ones_like(out), (3, 3), 1)  # padding does not count
                padded = pad_same(out, (3, 3), 1)
                out = F.avg_pool2d(padded, 3, 1) / F.avg_pool2d(ones, 3, 1)
            for layer in layers:
                out = self._slim(out, branch + "/" + layer)
            outputs.append(out)
        if block == "Mixed_6a":
            outputs.append(max_pool(x, 3, 1, same=True))
        if block == "Mixed_6e":
            outputs = [self._keep(f"Mixed_6e_branch_{i}", out) for i, out in enumerate(outputs)]
        return self._keep(block, torch.cat(outputs, 1))

    def _inception(self, x):
        for name, stride in (("Conv2d_1a_3x3", 2), ("Conv2d_2a_3x3", 1), ("Conv2d_2b_3x3", 1)):
            x = self._keep(name, self._slim(x, name, stride))
        x = self._keep("MaxPool_3a_3x3", max_pool(x, 3, 2, same=True))
        for name in ("Conv2d_3b_1x1", "Conv2d_4a_3x3"):
            x = self._keep(name, self._slim(x, name))
        x = self._keep("MaxPool_5a_3x3", max_pool(x, 3, 2, same=True))
        for block in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"):
            x = self._mixed(x, "Mixed_" + block)
        for name in ("add2", "add1"):
            scope = f"InceptionV3/Logits/{name}/"
            x = self._conv(x, scope + "weights", biases=scope + "biases")
            x = self._keep(name, F.relu(x))
        weights = next(n for n in self.variables if re.search("Conv2d_1c_1x1_[^/]+/weights", n))
        kernel = self.variables[weights][0, 0]
        return x.mean((2, 3)) @ kernel + self.variables[weights.replace("weights", "biases")]


def dgl_map(logits, activation, class_index, alpha=10.0):
    """The DGL map of one image by autograd, (H, W) float64, and as TensorFlow's kernel has the loss."""
    (class_gradient,) = torch.autograd.grad(logits[0, class_index], activation, retain_graph=True)
    towards = torch.softmax(logits[0], 0).detach()
    towards[class_index] -= alpha
    loss = (logits[0] * towards).sum()
    (loss_gradient,) = torch.autograd.grad(loss, activation, retain_graph=True)

    def unit(x):
        return x / torch.sqrt(torch.clamp((x * x).sum(), min=1e-12))

    enhanced = unit(activation.detach()) - unit(loss_gradient)
    return (class_gradient * enhanced).sum(1)[0].numpy()


def lite_logits(state, x, keep=lambda name, x: x):
    """EfficientNet-Lite: the forward pass that the names and shapes of a published state dict describe.

    Args:
        state: name -> float64 tensor.
        x: (N, 3, H, W) float64 tensor, normalized.
        keep: given each layer's name, as ``--clayer`` has it, and activation; returns the activation.
    """

    def convolve(x, name, norm, stride=1, relu=True):
        weight = state[name + ".weight"]
        x = pad_same(x, weight.shape[2:], stride)
        x = F.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        parts = ("running_mean", "running_var", "weight", "bias")
        moments = [state[f"{norm}.{part}"] for part in parts]
        x = F.batch_norm(x, *moments, eps=1e-3)
        return F.hardtanh(x, 0, 6) if relu else x

    # Stages are told apart by their number of filters.
    x = convolve(x, "_conv_stem", "_bn0", 2)
    blocks = range(len([name for name in state if name.endswith("_project_conv.weight")]))
    outputs = [state[f"_blocks.{index}._project_conv.weight"].shape[0] for index in blocks]
    stage = -1
    for index in blocks:
        begins = index == 0 or outputs[index] != outputs[index - 1]
        stage += begins
        stride = 2 if begins and stage in (1, 2, 3, 5) else 1
        prefix, entered = f"_blocks.{index}.", x
        if prefix + "_expand_conv.weight" in state:
            x = keep(f"block{index}_expand", convolve(x, prefix + "_expand_conv", prefix + "_bn0"))
        x = convolve(x, prefix + "_depthwise_conv", prefix + "_bn1", stride)
        x = keep(f"block{index}_depthwise", x)
        x = convolve(x, prefix + "_project_conv", prefix + "_bn2", relu=False)
        x = keep(f"block{index}", x if begins else x + entered)
    x = keep("head", convolve(x, "_conv_head", "_bn1")).mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]
