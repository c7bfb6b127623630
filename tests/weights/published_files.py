"""Small published files of every publisher, in their real names, from name-seeded values.

Each publisher's names are written down, apart from the converter, which has to find the way back.
"""

import functools
import re

import numpy as np
from networks import fill, options_of, value, values_of
from numpy_forward import pad

from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.tf_compat import tf
from dgl.weights import read_all

SIZE = 64
WIDTH = 0.125
CLASSES = 7
ZOO, KERAS_FILE, TORCH_FILE = (get_backbone("vgg").published_files[index] for index in (0, 3, 4))
VGG_POSITIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
OWN = ("add/", "linear/", "InceptionV3/Logits/")


def published_part(mode):
    """Variables that a publisher's file has too, under this project's names."""
    own = OWN if mode in ("vgg", "inceptionv3") else ()
    values = values_of(mode, SIZE, width=WIDTH, classes=CLASSES)
    return {name: array for name, array in values.items() if not name.startswith(own)}


def random(name, shape):
    """Values for what the converter leaves out."""
    return value(name + "/W", shape)


def zoo(mode):
    """Tensorpack's model zoo: (name -> array)."""
    values = dict(published_part(mode))
    if mode == "vgg":
        top = values["conv5_3/b"].size
        for name, shape in (("fc6", (4 * top, 16)), ("fc7", (16, 16)), ("fc8", (16, CLASSES))):
            values[name + "/W"] = random(name, shape)
            values[name + "/b"] = random(name, shape[-1:])
    values["conv0/W/Momentum" if mode != "vgg" else "learning_rate"] = np.float32(0.1)
    return values


def slim():
    """TF-slim's Inception-V3."""
    values = dict(published_part("inceptionv3"))
    for name in ("AuxLogits/Conv2d_1b_1x1", "Mixed_7a/Branch_0/Conv2d_0a_1x1"):
        values[f"InceptionV3/{name}/weights"] = random(name, (1, 1, 4, 8))
    values["InceptionV3/Logits/Conv2d_1c_1x1/weights"] = random("top", (1, 1, 8, 1001))
    values["InceptionV3/Logits/Conv2d_1c_1x1/biases"] = np.zeros(1001, "float32")
    values["global_step"] = np.array(5000)
    return values


_TORCHVISION = (
    (r"group(\d)/block(\d+)/", lambda found: f"layer{int(found.group(1)) + 1}.{found.group(2)}."),
    ("convshortcut/bn", "downsample.1"),
    ("convshortcut", "downsample.0"),
    ("conv0", "conv1"),
    (r"conv(\d)/bn", r"bn\1"),
    ("linear", "fc"),
    ("/(W|gamma)$", ".weight"),
    ("/(b|beta)$", ".bias"),
    ("/mean/EMA", ".running_mean"),
    ("/variance/EMA", ".running_var"),
)


def torchvision(mode):
    """Torchvision's state dict, in PyTorch's layout."""
    values = {}
    for index, (name, array) in enumerate(published_part(mode).items()):
        if mode == "vgg":
            name = f"features.{VGG_POSITIONS[index // 2]}/{name[-1]}"
        for ours, theirs in _TORCHVISION:
            name = re.sub(ours, theirs, name)
        values[name] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        if name.endswith("running_var"):
            values[name.replace("running_var", "num_batches_tracked")] = np.array(3)
    if mode == "vgg":
        values["classifier.6.weight"] = random("classifier", (CLASSES, 8))
        values["classifier.6.bias"] = random("classifier", (CLASSES,))
    return values


def keras_vgg(top=True):
    """Layers of Keras's VGG16, as :func:`foreign_files.write_keras` takes them."""
    layers, values = [("input_1", [])], published_part("vgg")
    for name in [name for name in values if name.endswith("/W")]:
        layer = f"block{name[4]}_conv{name[6]}"
        layers.append((layer, [("kernel", values[name]), ("bias", values[name[:-1] + "b"])]))
    if top:
        layers.append(("fc1", [("kernel", random("fc1", (8, 4))), ("bias", random("fc1", (4,)))]))
    return layers


def keras_inception(first=0):
    """Layers of Keras's InceptionV3, numbered from ``first``, in an order that says nothing."""
    values, kinds = published_part("inceptionv3"), ("beta", "moving_mean", "moving_variance")
    made = []
    for name in [name for name in values if name.endswith("/weights")]:
        norm = name[: -len("weights")] + "BatchNorm/"
        made.append((values[name], [values[norm + kind] for kind in kinds]))
    made += [(random("c", (1, 1, 4, 8)), [random(kind, (8,)) for kind in kinds])] * 24
    layers = [("input_1", [])]
    for number, (kernel, averages) in enumerate(made, first):
        ending = f"_{number}" if number else ""
        layers.append(("conv2d" + ending, [("kernel", kernel)]))
        layers.append(("batch_normalization" + ending, list(zip(kinds, averages))))
    order = np.random.RandomState(0).permutation(len(layers))
    return [layers[index] for index in order]


@functools.lru_cache(maxsize=None)
def _network(mode, size, **options):
    """A session with the network, which takes a second to build, its input and the network."""
    with tf.Graph().as_default():
        tensor = tf.placeholder(tf.float32, [None, size, size, 3])
        options = options_of(mode, classes=CLASSES, width=WIDTH, **options)
        network = build_network(get_backbone(mode), tensor, options)
        return tf.Session(), tensor, network


def run(mode, checkpoint, image, names, **options):
    """Endpoints (``"logits"`` too) of this project's network filled from a checkpoint, on BGR images.

    Variables that a converted file cannot have keep name-seeded values.
    """
    session, tensor, network = _network(mode, image.shape[1], **options)
    with session.graph.as_default():
        fill(session)
        stored = [v for v in tf.global_variables() if v.op.name in checkpoint.shapes]
    values = read_all(stored, checkpoint)
    feeds = {v.initializer.inputs[1]: values[v.op.name] for v in stored}
    session.run([v.initializer for v in stored], feeds)
    fetches = [network.logits if n == "logits" else network.endpoints[n] for n in names]
    return session.run(fetches, {tensor: image})


def assert_computes(expected, *network, **options):
    """:func:`run` computes what is expected, endpoint -> array; returns what it computes."""
    found = run(*network, **options)
    for name, array in zip(network[-1], found):
        assert_close(array, expected[name])
    return found


# Statistics of the normalization of this project's networks, in BGR on the scale 0 to 255.
OUR_MEAN = 255 * np.array([0.406, 0.456, 0.485])
OUR_STD = 255 * np.array([0.225, 0.224, 0.229])


def random_image(size=SIZE):
    """Two random images, (2, S, S, 3) BGR, 0 to 255, whole numbers."""
    return np.random.RandomState(size).randint(0, 256, (2, size, size, 3)).astype("float64")


def padded(image, stride=1):
    """``image`` with the mean color around it, where SAME would pad before a 3 x 3 convolution.

    Zero is the mean color to this project's networks. A publisher's network that sees that color in the
    padding, and pads no more, computes the same at the border too.
    """
    return pad(image, (3, 3), stride, value=OUR_MEAN)


def assert_holds(checkpoint, expected):
    """A checkpoint has the variables that are expected, name -> array, and no other."""
    assert set(checkpoint.shapes) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(checkpoint.read(name), array)


def assert_close(found, expected):
    """No entry may be off by more than 1e-4 of the largest."""
    assert found.shape == expected.shape
    largest = np.abs(expected).max()
    assert largest > 0
    assert np.abs(found - expected).max() <= 1e-4 * largest
