"""VGG16 with global average pooling: conv1_1..conv5_3 without pool5, `add`, GAP, `linear`."""

from dgl.backbones.registry import Backbone, BuildOptions, Network, register_backbone
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_ADD_CHANNELS = 1024


def _build(image: Tensor, options: BuildOptions) -> Network:
    """The network on normalized BGR ``image``; see :class:`~dgl.backbones.Backbone`."""
    endpoints = {}
    batch_norm = options.norm == "bn"

    def conv(name, features, channels):
        activation = tp.BNReLU if batch_norm else tf.nn.relu
        out = tp.Conv2D(
            name,
            features,
            options.channels(channels),
            3,
            activation=activation,
            use_bias=not batch_norm,
        )
        endpoints[name] = out
        return out

    features = image
    formats = {"data_format": options.data_format}
    with tp.argscope([tp.Conv2D, tp.MaxPooling, tp.GlobalAvgPooling], **formats):
        for block, (channels, repeats) in enumerate(_BLOCKS, 1):
            for index in range(1, repeats + 1):
                features = conv(f"conv{block}_{index}", features, channels)
            if block < len(_BLOCKS):
                name = f"pool{block}"
                features = endpoints[name] = tp.MaxPooling(name, features, 2)
        features = conv("add", features, _ADD_CHANNELS)
        pooled = tp.GlobalAvgPooling("gap", features)
    logits = tp.FullyConnected(options.head, pooled, options.classes)
    return Network(logits, endpoints, logits.variables.W)


VGG = register_backbone(
    Backbone(
        mode="vgg",
        build=_build,
        layers=(
            "add",
            "conv5_3",
            "conv5_2",
            "conv5_1",
            "pool4",
            "conv4_3",
            "conv4_2",
            "conv4_1",
            "pool3",
            "conv3_3",
            "conv3_2",
            "conv3_1",
            "pool2",
            "conv2_2",
            "conv2_1",
            "pool1",
            "conv1_2",
            "conv1_1",
        ),
        heads={"imagenet": "linear", "cub": "linear_cub"},
        head_pattern=r"(linear[^/]*)/W",
        stem="conv1_1/W",
        stem_channels=64,
        pretrained={"vgg": "vgg16.npz", "vgg16": "vgg16.npz"},
        gradient_multipliers=(
            (r"conv.*/W", 1.0),
            (r"conv.*/b", 2.0),
            (r"add.*/W", 10.0),
            (r"add.*/b", 20.0),
            (r"linear.*/W", 10.0),
            (r"linear.*/b", 20.0),
        ),
        weight_decay=(r".*/W", 5e-4),
        norms=("none", "bn"),
        norm_marker={"bn": "conv1_1/bn/gamma"},
        own_layers=r"(add|linear[^/]*)/",
    )
)
