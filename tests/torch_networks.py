"""The networks of ``numpy_forward`` in PyTorch and float64, EfficientNet-Lite, DGL's map by autograd."""

import numpy as np
import numpy_forward
import torch
import torch.nn.functional as F

MEAN_BGR = 255 * np.array([0.406, 0.456, 0.485])
STD_BGR = 255 * np.array([0.225, 0.224, 0.229])


def prepare(images):
    """(N, H, W, 3) BGR in 0..255 -> normalized (N, 3, H, W) float64 tensor."""
    return torch.tensor(((np.asarray(images, float) - MEAN_BGR) / STD_BGR).transpose(0, 3, 1, 2))


def pad_same(x, kernel, stride, value=0.0):
    """TensorFlow's SAME padding of (N, C, H, W)."""
    rows, columns = (numpy_forward.around(x.shape[2 + i], kernel[i], stride) for i in (0, 1))
    return F.pad(x, columns + rows, value=value)


class Network(numpy_forward.Network):
    """Forward pass by backbone, in NCHW; its :attr:`endpoints` can be differentiated by.

    Args:
        mode: ``"vgg"``, ``"resnet50"``, ``"resnet50se"`` or ``"inceptionv3"``.
        values: variable name -> array.
        training: batch statistics in BatchNorm; dropout is left out.
    """

    def __init__(self, mode, values, training=False):
        values = {name: torch.tensor(np.asarray(v, "float64")) for name, v in values.items()}
        super().__init__(mode, values)
        self.training = training

    def _keep(self, name, x):
        return super()._keep(name, x if x.requires_grad else x.requires_grad_())

    def _conv(self, x, weights, stride=1, bias=None, padding=None):
        kernel = self.variables[weights].permute(3, 2, 0, 1)
        x = pad_same(x, kernel.shape[2:], stride)
        return F.conv2d(x, kernel, self.variables.get(bias), stride=stride)

    def _norm(self, x, mean, variance, beta, gamma=None, epsilon=1e-5):
        moments = [None if self.training else self.variables[name] for name in (mean, variance)]
        weight, bias = self.variables.get(gamma), self.variables[beta]
        return F.batch_norm(x, *moments, weight, bias, self.training, eps=epsilon)

    def _max_pool(self, x, size, stride):
        return F.max_pool2d(pad_same(x, (size, size), stride, -np.inf), size, stride)

    def _average_pool(self, x):
        total, count = (
            F.avg_pool2d(pad_same(one, (3, 3), 1), 3, 1) for one in (x, torch.ones_like(x))
        )
        return total / count  # padding does not count

    def _relu(self, x):
        return F.relu(x)

    def _gate(self, x, gate):
        return x * torch.sigmoid(gate)[:, :, None, None]

    def _mean(self, x):
        return x.mean((2, 3))

    def _concatenate(self, arrays):
        return torch.cat(arrays, 1)


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
