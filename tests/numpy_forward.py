"""Forward passes of the backbones in NumPy, from the papers and TensorFlow's rules of padding.

Independent of TensorFlow and of ``dgl.backbones``: what the names of variables say
(``group1/block0/convshortcut``, ``Branch_2/Conv2d_0b_3x3``) is built, at any width. Images and activations
are (N, H, W, C). Sums are float64.
"""

import re

import numpy as np


def preprocess(bgr, order, mean, std):
    """``(value - mean) / std`` of a BGR image, for a network with channels in ``order``."""
    pixels = np.asarray(bgr, "float64")
    pixels = pixels[..., ::-1] if order == "rgb" else pixels
    return (pixels - np.asarray(mean, "float64")) / np.asarray(std, "float64")


def around(size, kernel, stride, padding="SAME"):
    """Padding before and after one axis: TensorFlow's SAME has the odd one after."""
    if padding == "SYMMETRIC":
        return kernel // 2, kernel // 2
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return (total // 2, total - total // 2) if padding == "SAME" else (0, 0)


def pad(features, kernel, stride, padding="SAME", value=0.0):
    """Pad with ``value``, a number or one a channel, as ``"SAME"``, ``"SYMMETRIC"`` or ``"VALID"`` does."""
    batch, height, width, channels = features.shape
    top, bottom = around(height, kernel[0], stride, padding)
    left, right = around(width, kernel[1], stride, padding)
    padded = np.empty((batch, top + height + bottom, left + width + right, channels), "float64")
    padded[...] = value
    padded[:, top : top + height, left : left + width] = features
    return padded


def windows(features, kernel, stride):
    """Every window that fits: (N, rows, columns, kernel rows, kernel columns, C), a view."""
    batch, height, width, channels = features.shape
    n, h, w, c = features.strides
    rows, columns = (height - kernel[0]) // stride + 1, (width - kernel[1]) // stride + 1
    return np.lib.stride_tricks.as_strided(
        features,
        (batch, rows, columns) + tuple(kernel) + (channels,),
        (n, h * stride, w * stride, h, w, c),
        writeable=False,
    )


class Network:
    """Forward pass by backbone.

    Args:
        mode: ``"vgg"``, ``"resnet50"``, ``"resnet50se"`` or ``"inceptionv3"``.
        variables: name -> array, under tensorpack's or TF-slim's names.
        geometry: other values of the attributes below.
    """

    head = None  # the classification layer of VGG and ResNet, by default the only one
    padding = "SAME"  # of the convolutions
    first_padding = None  # of the first one; "VALID" for an image that is already padded
    strides = (1, 2, 1, 1)  # of a ResNet's groups
    in_first = False  # whether the first 1 x 1 convolution of a block is strided, not the 3 x 3

    def __init__(self, mode, variables, **geometry):
        self.mode, self.variables, self.endpoints = mode, variables, {}
        vars(self).update(geometry)
        self.first_padding = self.first_padding or self.padding

    def __call__(self, image):
        """Logits of a preprocessed image, ``None`` without a head; fills :attr:`endpoints`."""
        self.endpoints.clear()
        forward = {"vgg": self._vgg, "inceptionv3": self._inception}.get(self.mode, self._resnet)
        return forward(image)

    def _keep(self, name, x):
        self.endpoints[name] = x
        return x

    def _conv(self, x, weights, stride=1, bias=None, padding=None):
        weights, kernel = self.variables[weights], self.variables[weights].shape[:2]
        padded = pad(x, kernel, stride, padding or self.padding)
        sums = np.tensordot(windows(padded, kernel, stride), weights, 3)
        return sums + self.variables.get(bias, 0)

    def _norm(self, x, mean, variance, beta, gamma=None, epsilon=1e-5):
        """BatchNorm with stored averages; all are names of variables."""
        scale = self.variables.get(gamma, 1) / np.sqrt(self.variables[variance] + epsilon)
        return (x - self.variables[mean]) * scale + self.variables[beta]

    def _max_pool(self, x, size, stride):
        padded = pad(x, (size, size), stride, self.padding, -np.inf)
        return windows(padded, (size, size), stride).max(axis=(3, 4))

    def _average_pool(self, x):
        """Average at stride 1 over what of each 3 x 3 window lies inside."""
        inside = np.ones((1,) + x.shape[1:3] + (1,))
        total, count = (
            windows(pad(array, (3, 3), 1), (3, 3), 1).sum(axis=(3, 4)) for array in (x, inside)
        )
        return total / count

    def _relu(self, x):
        return np.maximum(x, 0)

    def _gate(self, x, gate):
        return x / (1 + np.exp(-gate[:, None, None]))

    def _mean(self, x):
        return x.mean((1, 2))

    def _concatenate(self, arrays):
        return np.concatenate(arrays, axis=-1)

    def _dense(self, x, name):
        return x @ self.variables[name + "/W"] + self.variables[name + "/b"]

    def _head(self, x):
        names = (name[:-2] for name in self.variables if re.match(r"linear[^/]*/W$", name))
        return self._dense(self._mean(x), self.head or next(names))

    def _vgg(self, x):
        padding = self.first_padding
        for block, repeats in enumerate((2, 2, 3, 3, 3), 1):
            for index in range(1, repeats + 1):
                name = f"conv{block}_{index}"
                x = self._conv(x, name + "/W", bias=name + "/b", padding=padding)
                x, padding = self._keep(name, self._relu(x)), self.padding
            if block < 5:
                x = self._keep(f"pool{block}", self._max_pool(x, 2, 2))
        if "add/W" not in self.variables:
            return None
        return self._head(self._keep("add", self._relu(self._conv(x, "add/W", bias="add/b"))))

    def _conv_norm(self, x, name, stride=1):
        x = self._conv(x, name + "/W", stride)
        parts = ("mean/EMA", "variance/EMA", "beta", "gamma")
        return self._norm(x, *(f"{name}/bn/{part}" for part in parts))

    def _resnet(self, x):
        x = self._keep("conv0", self._relu(self._conv_norm(x, "conv0", 2)))
        x = self._keep("pool0", self._max_pool(x, 3, 2))
        found = (re.match(r"group(\d)/block(\d+)", name) for name in self.variables)
        for group, block in sorted({tuple(map(int, match.groups())) for match in found if match}):
            name = f"group{group}/block{block}"
            stride = self.strides[group] if block == 0 else 1
            first, second = (stride, 1) if self.in_first else (1, stride)
            out = self._relu(self._conv_norm(x, name + "/conv1", first))
            out = self._relu(self._conv_norm(out, name + "/conv2", second))
            out = self._conv_norm(out, name + "/conv3")
            if name + "/fc1/W" in self.variables:
                gate = self._relu(self._dense(self._mean(out), name + "/fc1"))
                out = self._gate(out, self._dense(gate, name + "/fc2"))
            if name + "/convshortcut/W" in self.variables:
                x = self._conv_norm(x, name + "/convshortcut", stride)
            x = self._keep(name + "_shortcut", self._relu(out + x))
        return self._head(x)

    def _slim(self, x, name, stride=1, padding=None):
        scope = "InceptionV3/" + name
        x = self._conv(x, scope + "/weights", stride, padding=padding)
        names = (f"{scope}/BatchNorm/{part}" for part in ("moving_mean", "moving_variance", "beta"))
        return self._keep(name, self._relu(self._norm(x, *names, epsilon=1e-3)))

    def _mixed(self, x, block):
        found = re.compile(f"InceptionV3/({block}/Branch_\\d)/([^/]+)/weights")
        branches = {}  # their names sort in the order of the layers
        for match in filter(None, map(found.match, sorted(self.variables))):
            branches.setdefault(match.group(1), []).append(match.group(2))
        outputs = []
        for branch, layers in branches.items():
            out = self._average_pool(x) if branch.endswith("Branch_3") else x
            for layer in layers:
                out = self._slim(out, branch + "/" + layer)
            outputs.append(out)
        if block == "Mixed_6a":
            outputs.append(self._max_pool(x, 3, 1))
        if block == "Mixed_6e":
            outputs = [self._keep(f"Mixed_6e_branch_{i}", out) for i, out in enumerate(outputs)]
        return self._keep(block, self._concatenate(outputs))

    def _inception(self, x):
        x = self._slim(x, "Conv2d_1a_3x3", 2, self.first_padding)
        x = self._slim(self._slim(x, "Conv2d_2a_3x3"), "Conv2d_2b_3x3")
        x = self._keep("MaxPool_3a_3x3", self._max_pool(x, 3, 2))
        x = self._slim(self._slim(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3")
        x = self._keep("MaxPool_5a_3x3", self._max_pool(x, 3, 2))
        for block in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"):
            x = self._mixed(x, "Mixed_" + block)
        if "InceptionV3/Logits/add2/weights" not in self.variables:
            return None
        for name in ("add2", "add1"):
            scope = f"InceptionV3/Logits/{name}/"
            x = self._conv(x, scope + "weights", bias=scope + "biases")
            x = self._keep(name, self._relu(x))
        last = next(n for n in self.variables if re.search("Conv2d_1c_1x1_[^/]+/weights", n))
        biases = self.variables[last.replace("weights", "biases")]
        return self._mean(x) @ self.variables[last][0, 0] + biases


def forward(mode, image, variables, **options):
    """Endpoints of a network for a preprocessed image, and its ``"logits"``."""
    network = Network(mode, variables, **options)
    logits = network(image)
    return dict(network.endpoints, logits=logits)
