"""Lower bound on a map's time: multiply-adds of its convolutions, counted in the graph.

A backward pass to a layer convolves once for every convolution above that layer, with as many
multiply-adds as the convolution itself. Time in proportion to arithmetic is a floor for kernels that are
equally good both ways; what comes on top is memory traffic of the operations between them.
"""

from dgl.backbones import BuildOptions, get_backbone
from dgl.backbones.network import build_network
from dgl.tf_compat import tf

_FORWARD = ("Conv2D", "DepthwiseConv2dNative")
_BACKWARD = tuple(kind + "BackpropInput" for kind in _FORWARD)


def _multiply_adds(op):
    """Of one image: every weight once at every place of the convolution's output."""
    output = op.outputs[0] if op.type in _FORWARD else op.inputs[2]
    product = 1
    for factor in output.shape.as_list()[1:3] + op.inputs[1].shape.as_list():
        product *= factor
    return product


def count(mode="vgg", layers=(), size=224):
    """Multiply-adds of a forward pass, and of one backward pass to the shallowest of ``layers``.

    Args:
        mode: backbone.
        layers: names; none for the forward pass alone.
        size: side of the image.

    Returns:
        (forward, backward), ints for one image.
    """
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, [1, size, size, 3])
        backbone = get_backbone(mode)
        options = BuildOptions(classes=1000, head=backbone.head_name("imagenet", 1000))
        network = build_network(backbone, image, options)
        if layers:
            tf.gradients(network.logits, [network.endpoints[layer] for layer in layers])
        operations = graph.get_operations()
    return tuple(
        sum(_multiply_adds(op) for op in operations if op.type in kinds)
        for kinds in (_FORWARD, _BACKWARD)
    )


def floor(layers, gradients=2, mode="vgg", size=224):
    """Time of a forward pass with so many backward passes over that of the forward pass, at the least."""
    forward, backward = count(mode, layers, size)
    return 1 + gradients * backward / forward
