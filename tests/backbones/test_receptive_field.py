"""Strides and receptive fields: against what pixels a network really answers to, and known figures."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from networks import options_of

from dgl.backbones import BACKBONES, get_backbone
from dgl.backbones.receptive_field import Field, layer_table, receptive_fields
from dgl.tf_compat import tf

from tensorpack.tfutils.tower import TowerContext  # isort: skip

HEIGHT, WIDTH = 48, 560


def positive(name, shape, rng):
    """Weights under which nothing cancels; of no influence on an empty image."""
    if name.endswith(("/W", "/weights", "gamma")):
        return rng.uniform(0.5, 1.5, shape) * (3.0 / np.prod(shape[:-1]) if len(shape) > 1 else 1)
    return np.ones(shape) if "variance" in name else np.zeros(shape)


def answering(mode, names, axis):
    """For each layer, whether its middle place answers to a line just before the field that the graph
    tells, at its beginning, at its end and just behind it, in images that are empty but for that line."""
    rng = np.random.RandomState(0)
    height, width = (HEIGHT, WIDTH) if axis == 1 else (WIDTH, HEIGHT)
    with tf.Graph().as_default(), TowerContext("", is_training=False), tf.Session() as session:
        image = tf.placeholder(tf.float32, [None, height, width, 3])
        network = get_backbone(mode).build(image, options_of(mode, 2, width=1 / 16))
        tensors = [network.endpoints[name] for name in names]
        variables = tf.global_variables()
        feeds = {
            v.initializer.inputs[1]: positive(v.op.name, v.shape.as_list(), rng) for v in variables
        }
        session.run([v.initializer for v in variables], feeds)
        found = []
        for field, tensor in zip(receptive_fields(tensors, image), tensors):
            place = [side // 2 for side in tensor.shape.as_list()[1:3]]
            first = field.stride[axis] * place[axis] + field.first[axis]
            last = first + field.size[axis] - 1
            assert first > 0 and last + 1 < WIDTH, (field, place)
            images = np.zeros((4, height, width, 3), "float32")
            for number, line in enumerate((first - 1, first, last, last + 1)):
                images[number][(slice(None),) * axis + (line,)] = 1
            middle = tf.reduce_max(tensor[:, place[0], place[1]], axis=1)
            found.append(list(session.run(middle, {image: images}) > 0))
        return found


# (mode, layers, blocks of the ResNet that is built: only as many as it takes to get there).
LAYERS = [
    ("vgg", "add conv5_3 conv5_1 pool4 conv4_1 pool3 conv3_3 pool2 conv2_1 pool1 conv1_1", None),
    (
        "inceptionv3",
        "Mixed_6c Mixed_6b Mixed_6a Mixed_5d Mixed_5b MaxPool_5a_3x3 Conv2d_4a_3x3 Conv2d_1a_3x3",
        None,
    ),
    ("resnet50", "group3/block2_shortcut group2/block0_shortcut group1/block1_shortcut", None),
    ("resnet50se", "group2/block0_shortcut group1/block1_shortcut", (1, 2, 1, 1)),
    ("efficientnet_lite0", "block7 block7_depthwise block4_expand block1 stem", None),
]
# They repeat blocks of resnet50, resnet50se and efficientnet_lite0.
DEEPER = {"resnet101", "resnet101se", "resnet152", "resnet152se"}
DEEPER |= {"efficientnet_lite1", "efficientnet_lite2"}


@pytest.mark.parametrize(
    "mode, names, blocks, axis",
    [row + (1,) for row in LAYERS] + [row + (0,) for row in LAYERS if row[0] == "vgg"],
    ids=lambda value: {0: "rows", 1: "columns"}.get(value, str(value).split()[0]),
)
def test_a_place_answers_to_the_ends_of_its_field_and_nothing_beyond(
    mode, names, blocks, axis, monkeypatch
):
    names = names.split()
    if blocks:
        backbone = get_backbone(mode)
        few = replace(backbone, build=partial(backbone.build, blocks=blocks))
        monkeypatch.setitem(BACKBONES, mode, few)
    for name, answers in zip(names, answering(mode, names, axis)):
        assert answers == [False, True, True, False], name


def test_every_backbone_is_among_those_looked_at():
    assert {mode for mode, _, _ in LAYERS} | DEEPER == set(BACKBONES)


def test_the_layers_of_vgg():
    layers = layer_table(get_backbone("vgg"), options_of("vgg", 2, width=1 / 16), 224)
    assert [layer.index for layer in layers] == list(range(18))
    table = {layer.name: layer for layer in layers}
    assert table["conv5_3"].shape == (14, 14, 32)
    # By arithmetic: each 3 x 3 convolution adds 2 strides, each pooling one.
    for name, stride, size in (("pool2", 4, 16), ("conv4_3", 8, 92), ("add", 16, 228)):
        assert table[name].field[::2] == ((stride, stride), (size, size))


def _fields(build, shape=(None, 20, 30, 3)):
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, shape)
        return receptive_fields([build(image)], image)[0]


@pytest.mark.parametrize(
    "shape, strides, padding, dilations, field",
    [
        ([1, 7, 3, 4], [1, 1, 2, 1], "VALID", [1, 1, 1, 1], ((1, 2), (0, 0), (1, 7))),
        ([3, 3, 3, 4], [1, 1, 1, 1], "SAME", [1, 2, 3, 1], ((1, 1), (-2, -3), (5, 7))),
    ],
)
def test_a_window_that_is_not_square_or_dilated(shape, strides, padding, dilations, field):
    def build(image):
        return tf.nn.conv2d(image, tf.zeros(shape), strides, padding, dilations=dilations)

    assert _fields(build) == Field(*field)


@pytest.mark.parametrize(
    "build, part",
    [
        (lambda image: tf.reduce_mean(image, [1, 2]), "no activation"),
        (lambda image: tf.reverse(image, [1]), "ReverseV2"),
        (lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME") + x[:, :10, :15], "StridedSlice"),
        (lambda image: tf.zeros([1, 2, 2, 1]), "no activation"),
    ],
)
def test_what_is_not_known_is_refused(build, part):
    with pytest.raises(ValueError, match=part):
        _fields(build)
