"""Forward passes of the backbones in NumPy, from the papers and TensorFlow's rules of padding.

Independent of TensorFlow and of ``dgl.backbones``: variables come as name -> array, under tensorpack's or
TF-slim's names, at any width. Images and activations are (N, H, W, C). Sums are float64.
"""

import numpy as np

VGG_BLOCKS = ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))
RESNET_BLOCKS = (3, 4, 6, 3)
# The branches of Inception's blocks, between bars; a layer is Conv2d_ and what is written here.
_MIXED_5 = "0a_1x1 | 0a_1x1 0b_5x5 | 0a_1x1 0b_3x3 0c_3x3 | avg 0b_1x1"
_SEVENS = "0a_1x1 0b_7x1 0c_1x7 0d_7x1 0e_1x7"
SLIM_BLOCKS = {
    "Mixed_5b": _MIXED_5,
    "Mixed_5c": _MIXED_5.replace("0a_1x1 0b_5x5", "0b_1x1 Conv_1_0c_5x5"),
    "Mixed_5d": _MIXED_5,
    "Mixed_6a": "1a_1x1 | 0a_1x1 0b_3x3 1a_1x1 | max",
}
for _block in "bcde":
    SLIM_BLOCKS["Mixed_6" + _block] = f"0a_1x1 | 0a_1x1 0b_1x7 0c_7x1 | {_SEVENS} | avg 0b_1x1"


def preprocess(bgr, order, mean, std):
    """``(value - mean) / std`` of a BGR image, for a network with channels in ``order``."""
    pixels = np.asarray(bgr, "float64")
    pixels = pixels[..., ::-1] if order == "rgb" else pixels
    return (pixels - np.asarray(mean, "float64")) / np.asarray(std, "float64")


def _around(size, kernel, stride, padding):
    """Padding before and after one axis: TensorFlow's SAME has the odd one after."""
    if padding == "SYMMETRIC":
        return kernel // 2, kernel // 2
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return (total // 2, total - total // 2) if padding == "SAME" else (0, 0)


def pad(features, kernel, stride, padding="SAME", value=0.0):
    """Pad with ``value``, a number or one a channel, as ``"SAME"``, ``"SYMMETRIC"`` or ``"VALID"`` does."""
    batch, height, width, channels = features.shape
    top, bottom = _around(height, kernel[0], stride, padding)
    left, right = _around(width, kernel[1], stride, padding)
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


def convolve(features, weights, stride=1, bias=0.0, padding="SAME"):
    """2-D convolution; ``weights`` (rows, columns, inputs, outputs)."""
    kernel = weights.shape[:2]
    padded = pad(features, kernel, stride, padding)
    return np.tensordot(windows(padded, kernel, stride), weights, 3) + bias


def max_pool(features, size, stride, padding="SAME"):
    kernel = (size, size)
    return windows(pad(features, kernel, stride, padding, -np.inf), kernel, stride).max(axis=(3, 4))


def average_pool(features):
    """Average at stride 1 over what of each 3 x 3 window lies inside."""
    inside = np.ones((1,) + features.shape[1:3] + (1,))
    total, count = (
        windows(pad(array, (3, 3), 1), (3, 3), 1).sum(axis=(3, 4)) for array in (features, inside)
    )
    return total / count


def normalize(features, mean, variance, beta, gamma=1.0, epsilon=1e-5):
    """BatchNorm with stored averages."""
    return (features - mean) * (gamma / np.sqrt(variance + epsilon)) + beta


def relu(features):
    return np.maximum(features, 0)


def _dense(variables, name, features):
    return features @ variables[name + "/W"] + variables[name + "/b"]


def _tensorpack_conv(variables, name, features, stride=1, padding="SAME"):
    out = convolve(
        features, variables[name + "/W"], stride, variables.get(name + "/b", 0.0), padding
    )
    if name + "/bn/beta" in variables:
        parts = ("mean/EMA", "variance/EMA", "beta", "gamma")
        out = normalize(out, *(variables[f"{name}/bn/{part}"] for part in parts))
    return out


def vgg(image, variables, first_padding="SAME", head="linear"):
    """VGG16 from its preprocessed image; GAP head where ``add`` and the head are among the variables.

    ``first_padding``: ``"VALID"`` for an image that is already padded.
    """
    points, out, padding = {}, image, first_padding
    for block, repeats in VGG_BLOCKS:
        for index in range(1, repeats + 1):
            name = f"conv{block}_{index}"
            out = points[name] = relu(_tensorpack_conv(variables, name, out, padding=padding))
            padding = "SAME"
        if block < len(VGG_BLOCKS):
            out = points[f"pool{block}"] = max_pool(out, 2, 2)
    if "add/W" in variables:
        out = points["add"] = relu(_tensorpack_conv(variables, "add", out))
        points["logits"] = _dense(variables, head, out.mean(axis=(1, 2)))
    return points


def resnet(image, variables, strides=(1, 2, 1, 1), padding="SAME", in_first=False):
    """ResNet of 50 layers, with squeeze-excite where its layers are among the variables.

    ``in_first`` strides the first 1 x 1 convolution of a block instead of the 3 x 3.
    """

    def conv(name, features, stride=1):
        return _tensorpack_conv(variables, name, features, stride, padding)

    points = {"conv0": relu(conv("conv0", image, 2))}
    out = points["pool0"] = max_pool(points["conv0"], 3, 2, padding)
    for group, blocks in enumerate(RESNET_BLOCKS):
        for block in range(blocks):
            scope = f"group{group}/block{block}"
            stride = strides[group] if block == 0 else 1
            first, second = (stride, 1) if in_first else (1, stride)
            inner = relu(conv(scope + "/conv1", out, first))
            inner = relu(conv(scope + "/conv2", inner, second))
            inner = conv(scope + "/conv3", inner)
            if scope + "/fc1/W" in variables:
                squeezed = relu(_dense(variables, scope + "/fc1", inner.mean(axis=(1, 2))))
                gate = 1 / (1 + np.exp(-_dense(variables, scope + "/fc2", squeezed)))
                inner = inner * gate[:, np.newaxis, np.newaxis]
            if scope + "/convshortcut/W" in variables:
                out = conv(scope + "/convshortcut", out, stride)
            out = points[scope + "_shortcut"] = relu(inner + out)
    points["logits"] = _dense(variables, "linear", out.mean(axis=(1, 2)))
    return points


def inception(image, variables, first_padding="SAME"):
    """Inception-V3 to Mixed_6e, SAME everywhere."""
    points = {}

    def conv(name, features, stride=1, padding="SAME"):
        scope = "InceptionV3/" + name
        out = convolve(features, variables[scope + "/weights"], stride, padding=padding)
        parts = ("moving_mean", "moving_variance", "beta")
        averages = (variables[f"{scope}/BatchNorm/{part}"] for part in parts)
        points[name] = relu(normalize(out, *averages, epsilon=1e-3))
        return points[name]

    out = conv("Conv2d_1a_3x3", image, 2, first_padding)
    out = conv("Conv2d_2b_3x3", conv("Conv2d_2a_3x3", out))
    out = points["MaxPool_3a_3x3"] = max_pool(out, 3, 2)
    out = conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", out))
    out = points["MaxPool_5a_3x3"] = max_pool(out, 3, 2)
    pools = {"avg": average_pool, "max": lambda features: max_pool(features, 3, 1)}
    for block, branches in SLIM_BLOCKS.items():
        outputs = []
        for index, steps in enumerate(branches.split(" | ")):
            branch = out
            for step in steps.split():
                name = step if step.startswith("Conv") else "Conv2d_" + step
                if step in pools:
                    branch = pools[step](branch)
                else:
                    branch = conv(f"{block}/Branch_{index}/{name}", branch)
            outputs.append(branch)
        out = points[block] = np.concatenate(outputs, axis=-1)
    return points
