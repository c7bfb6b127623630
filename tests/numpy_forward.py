"""Forward passes of the backbones in NumPy, from the papers and TensorFlow's rules of padding.

Independent of TensorFlow and of ``dgl.backbones``: variables come as name -> array, under tensorpack's or
TF-slim's names, at any width. Images and activations are (N, H, W, C). Sums are float64.
"""

import numpy as np

VGG_BLOCKS = ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))
RESNET_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
SLIM_5 = ("Conv2d_0a_1x1",), ("Conv2d_0a_1x1", "Conv2d_0b_5x5")
SLIM_5C = ("Conv2d_0a_1x1",), ("Conv2d_0b_1x1", "Conv_1_0c_5x5")
SLIM_TRIPLE = ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_0c_3x3")
SLIM_6 = (
    ("Conv2d_0a_1x1",),
    ("Conv2d_0a_1x1", "Conv2d_0b_1x7", "Conv2d_0c_7x1"),
    ("Conv2d_0a_1x1", "Conv2d_0b_7x1", "Conv2d_0c_1x7", "Conv2d_0d_7x1", "Conv2d_0e_1x7"),
    ("avg", "Conv2d_0b_1x1"),
)
SLIM_POOL = ("avg", "Conv2d_0b_1x1")
SLIM_BLOCKS = {
    "Mixed_5b": SLIM_5 + (SLIM_TRIPLE, SLIM_POOL),
    "Mixed_5c": SLIM_5C + (SLIM_TRIPLE, SLIM_POOL),
    "Mixed_5d": SLIM_5 + (SLIM_TRIPLE, SLIM_POOL),
    "Mixed_6a": (
        ("Conv2d_1a_1x1",),
        ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_1a_1x1"),
        ("max",),
    ),
    "Mixed_6b": SLIM_6,
    "Mixed_6c": SLIM_6,
    "Mixed_6d": SLIM_6,
    "Mixed_6e": SLIM_6,
}


def preprocess(bgr, order, mean, std):
    """``(value - mean) / std`` of a BGR image, for a network with channels in ``order``."""
    pixels = np.asarray(bgr, "float64")
    pixels = pixels[..., ::-1] if order == "rgb" else pixels
    return (pixels - np.asarray(mean, "float64")) / np.asarray(std, "float64")


def same_padding(size, kernel, stride):
    """Padding before and after one axis, as TensorFlow's SAME has it: the odd one after."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def pad_same(features, kernel, stride, value=0.0):
    """Pad as SAME would, with ``value`` (a number, or one a channel)."""
    rows = same_padding(features.shape[1], kernel[0], stride)
    columns = same_padding(features.shape[2], kernel[1], stride)
    batch, height, width, channels = features.shape
    shape = (batch, height + sum(rows), width + sum(columns), channels)
    padded = np.empty(shape, "float64")
    padded[...] = value
    padded[:, rows[0] : rows[0] + height, columns[0] : columns[0] + width] = features
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


def convolve(features, weights, stride=1, bias=None, padding="SAME"):
    """2-D convolution; ``weights`` (rows, columns, inputs, outputs)."""
    if padding == "SAME":
        features = pad_same(features, weights.shape[:2], stride)
    features = np.ascontiguousarray(features, "float64")
    out = np.tensordot(windows(features, weights.shape[:2], stride), weights, 3)
    return out if bias is None else out + bias


def max_pool(features, size, stride, padding="SAME"):
    """Maximum over windows."""
    padded = features
    if padding == "SAME":
        padded = pad_same(features, (size, size), stride, -np.inf)
    return windows(padded, (size, size), stride).max(axis=(3, 4))


def average_pool(features, size=3):
    """Average at stride 1 over what of each SAME window lies inside."""
    inside = np.ones((1,) + features.shape[1:3] + (1,))
    total, count = (
        windows(pad_same(array, (size, size), 1), (size, size), 1).sum(axis=(3, 4))
        for array in (features, inside)
    )
    return total / count


def normalize(features, mean, variance, beta, gamma=1.0, epsilon=1e-5):
    """BatchNorm with stored averages."""
    return (features - mean) * (gamma / np.sqrt(variance + epsilon)) + beta


def relu(features):
    return np.maximum(features, 0)


def vgg(image, variables, first_padding="SAME", head="linear"):
    """VGG16 from its preprocessed image; GAP head where ``add`` and the head are among the variables.

    ``first_padding``: ``"VALID"`` for an image that is already padded.
    """
    points, out, padding = {}, image, first_padding
    for block, repeats in VGG_BLOCKS:
        for index in range(1, repeats + 1):
            name = f"conv{block}_{index}"
            out = points[name] = _tensorpack_conv(variables, name, out, padding=padding)
            padding = "SAME"
        if block < len(VGG_BLOCKS):
            out = points[f"pool{block}"] = max_pool(out, 2, 2)
    if "add/W" in variables:
        out = points["add"] = _tensorpack_conv(variables, "add", out)
        pooled = out.mean(axis=(1, 2))
        points["logits"] = pooled @ variables[head + "/W"] + variables[head + "/b"]
    return points


def _tensorpack_conv(variables, name, features, stride=1, active=True, padding="SAME"):
    out = convolve(features, variables[name + "/W"], stride, variables.get(name + "/b"), padding)
    if name + "/bn/beta" in variables:
        out = normalize(
            out,
            variables[name + "/bn/mean/EMA"],
            variables[name + "/bn/variance/EMA"],
            variables[name + "/bn/beta"],
            variables[name + "/bn/gamma"],
        )
    return relu(out) if active else out


def _squeeze_excite(variables, scope, features):
    out = features.mean(axis=(1, 2))
    out = relu(out @ variables[scope + "/fc1/W"] + variables[scope + "/fc1/b"])
    gate = 1 / (1 + np.exp(-(out @ variables[scope + "/fc2/W"] + variables[scope + "/fc2/b"])))
    return features * gate[:, np.newaxis, np.newaxis]


def resnet(
    image,
    variables,
    depth=50,
    strides=(1, 2, 1, 1),
    head="linear",
    symmetric=False,
    in_first=False,
):
    """Bottleneck ResNet, with squeeze-excite where its layers are among the variables.

    ``symmetric`` pads strided layers alike on all sides; ``in_first`` strides the first 1 x 1 convolution.
    """

    def padded(features, side):
        around = (0, 0), (side, side), (side, side), (0, 0)
        return np.pad(features, around) if symmetric else features

    points, padding = {}, "VALID" if symmetric else "SAME"
    out = points["conv0"] = _tensorpack_conv(
        variables, "conv0", padded(image, 3), 2, padding=padding
    )
    out = points["pool0"] = max_pool(padded(out, 1), 3, 2, padding)
    for group, blocks in enumerate(RESNET_BLOCKS[depth]):
        for block in range(blocks):
            scope = f"group{group}/block{block}"
            stride = strides[group] if block == 0 else 1
            first, second = (stride, 1) if in_first else (1, stride)
            inner = _tensorpack_conv(variables, scope + "/conv1", out, first)
            if second == 1:
                inner = _tensorpack_conv(variables, scope + "/conv2", inner)
            else:
                inner = _tensorpack_conv(
                    variables, scope + "/conv2", padded(inner, 1), second, padding=padding
                )
            inner = _tensorpack_conv(variables, scope + "/conv3", inner, active=False)
            if scope + "/fc1/W" in variables:
                inner = _squeeze_excite(variables, scope, inner)
            shortcut = out
            if scope + "/convshortcut/W" in variables:
                shortcut = _tensorpack_conv(
                    variables, scope + "/convshortcut", out, stride, active=False
                )
            out = points[scope + "_shortcut"] = relu(inner + shortcut)
    points["logits"] = out.mean(axis=(1, 2)) @ variables[head + "/W"] + variables[head + "/b"]
    return points


def _slim_conv(variables, name, features, stride=1, padding="SAME"):
    name = "InceptionV3/" + name
    norm = name + "/BatchNorm/"
    return relu(
        normalize(
            convolve(features, variables[name + "/weights"], stride, padding=padding),
            variables[norm + "moving_mean"],
            variables[norm + "moving_variance"],
            variables[norm + "beta"],
            epsilon=1e-3,
        )
    )


def _slim_biased(variables, name, features):
    name = "InceptionV3/Logits/" + name
    return convolve(features, variables[name + "/weights"], bias=variables[name + "/biases"])


def inception(image, variables, first_padding="SAME", head=None):
    """Inception-V3 to Mixed_6e, SAME everywhere; with ``head``, its name, on to the logits."""
    points = {}

    def conv(name, features, stride=1, padding="SAME"):
        points[name] = _slim_conv(variables, name, features, stride, padding)
        return points[name]

    out = conv("Conv2d_1a_3x3", image, 2, first_padding)
    out = conv("Conv2d_2b_3x3", conv("Conv2d_2a_3x3", out))
    out = points["MaxPool_3a_3x3"] = max_pool(out, 3, 2)
    out = conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", out))
    out = points["MaxPool_5a_3x3"] = max_pool(out, 3, 2)
    for block, branches in SLIM_BLOCKS.items():
        outputs = []
        for index, steps in enumerate(branches):
            branch = out
            for step in steps:
                if step == "max":
                    branch = max_pool(branch, 3, 1)
                elif step == "avg":
                    branch = average_pool(branch)
                else:
                    name = f"{block}/Branch_{index}/{step}"
                    branch = _slim_conv(variables, name, branch)
            outputs.append(branch)
        out = points[block] = np.concatenate(outputs, axis=-1)
    if head:
        out = points["add2"] = relu(_slim_biased(variables, "add2", out))
        out = points["add1"] = relu(_slim_biased(variables, "add1", out))
        pooled = out.mean(axis=(1, 2), keepdims=True)
        points["logits"] = _slim_biased(variables, head.split("/")[-1], pooled)[:, 0, 0]
    return points
