"""Build a checkpoint's network for inference: weights as constants, BatchNorm folded, faster gradients.

With its moving averages, ``gamma * (Wx - mean) / sqrt(variance + epsilon) + beta`` is a convolution by
``W * s`` and a bias ``beta - mean * s``, ``s = gamma / sqrt(variance + epsilon)``. Folding saves one pass
over the activations in both directions.

The division by each channel's deviation, and the order of the channels, are folded into the first
convolution in the same way.

The input gradient of a convolution of stride 1 with SAME padding is a convolution of the output gradient
with the filter rotated by 180 degrees, which the CPU computes faster than TensorFlow's gradient kernel: the
gradient of a depthwise one in half the time.
"""

from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy as np

from dgl.backbones.foreground import add_foreground, head_layers
from dgl.backbones.network import build_network
from dgl.backbones.registry import Backbone, BuildOptions, Network
from dgl.errors import UserError
from dgl.predict.precision import lower_precision
from dgl.tf_compat import reference_kernels, tf
from dgl.utils.devices import FLOAT32
from dgl.utils.graph_walk import Parts, reachable
from dgl.utils.types import GraphDef, Operation, Tensor
from dgl.weights.checkpoint import Checkpoint
from dgl.weights.restore import read_all

NodeDef = Any  # tf.NodeDef

GRADIENT = "DGLForwardConvolutionGradient"
_SCOPE, _TURNED = "network", "turned"
_DEPTHWISE = "DepthwiseConv2dNative"
_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_MOST_BYTES = 2**31 - 2**20  # of one constant: a protocol buffer holds at most 2 GiB


def build_inference(
    backbone: Backbone,
    checkpoint: Checkpoint,
    image: Tensor,
    options: BuildOptions,
    gpus: int = 0,
    precision: str = FLOAT32,
) -> Network:
    """Build the network on ``image`` in the current graph, its weights as constants.

    On a CPU BatchNorm is folded (except with the reference kernels of :mod:`dgl.tf_compat`) and
    input gradients of convolutions are convolutions. On GPUs both are left to cuDNN.

    Args:
        image: (N, S, S, 3) BGR in 0..255, any dtype.
        gpus: number of GPUs that the graph will run on.
        precision: of :data:`dgl.utils.devices.PRECISIONS`; bfloat16 on a CPU is part of the graph.

    Returns:
        :class:`~dgl.backbones.Network`. Nothing is left to initialize. Endpoints are bfloat16 where
        the graph computes in it, logits and head weights float32 all the same.

    Raises:
        UserError: the checkpoint does not fit, or has a variable of 2 GiB.
    """
    with tf.Graph().as_default() as graph:
        placeholder = tf.placeholder(image.dtype, image.shape, "image")
        # Variables that the graph can lose, in programs too whose TensorFlow 2 makes others.
        scope = tf.get_variable_scope()
        with tf.variable_scope(scope, use_resource=False, custom_getter=_without_values):
            network = build_network(backbone, placeholder, options)
            heads = []
            if head_layers(checkpoint.shapes):
                heads.append(add_foreground(network, checkpoint.shapes))
        # A variable by itself is no node to import.
        head_weights = tf.identity(network.head_weights)
        values = read_all(tf.global_variables(), checkpoint)
    for name, value in values.items():
        if value.nbytes > _MOST_BYTES:
            raise UserError(
                f"{checkpoint.path}: {name} is {value.nbytes / 2**30:.1f} GiB large; expected less than 2"
            )
    outputs = [network.logits, head_weights, *network.endpoints.values(), *heads]
    names = [tensor.op.name for tensor in outputs]
    graph_def = tf.graph_util.extract_sub_graph(graph.as_graph_def(), names)
    if not gpus:
        if not reference_kernels():
            graph_def, values = fold_batch_norms(graph_def, values, names)
            graph_def, values = fold_normalization(graph_def, values)
        if precision != FLOAT32:
            graph_def, values = lower_precision(graph_def, values)
        parts = Parts(graph_def, values)
        # The reference's depthwise gradients are those of TensorFlow, whose sums have another order.
        marked = ("Conv2D",) if reference_kernels() else ("Conv2D", _DEPTHWISE)
        filters: Dict[str, Any] = {
            node.name: parts.array(node.input[1]) for node in graph_def.node if node.op in marked
        }
        mark_convolutions(graph_def, filters)
    logits, head_weights, *activations = _import(graph_def, values, image, placeholder, outputs)
    foreground = activations.pop() if heads else None
    return Network(logits, dict(zip(network.endpoints, activations)), head_weights, foreground)


def _without_values(getter: Any, *args: Any, **settings: Any) -> Any:
    """A variable without the operations of a random value, which nobody reads here."""

    def value(shape: Sequence[int], dtype: Any = tf.float32, partition_info: Any = None) -> Tensor:
        return tf.placeholder(dtype, shape)

    return getter(*args, **{**settings, "initializer": value})


def _import(
    graph_def: GraphDef,
    values: Mapping[str, np.ndarray],
    image: Tensor,
    placeholder: Tensor,
    outputs: Sequence[Tensor],
) -> List[Tensor]:
    """The graph's ``outputs``, computed from ``image``.

    Each constant is created separately, because a graph message holds at most 2 GiB.
    """
    names = [tensor.name for tensor in outputs]
    needed = reachable(graph_def, names)
    nodes = (
        node
        for node in graph_def.node
        if node.name in needed and node.name not in values and node.op != "Placeholder"
    )
    structure = tf.GraphDef(node=nodes, versions=graph_def.versions)
    for node in structure.node:
        node.attr.pop("_class", None)  # colocation with a variable that is gone
    with tf.name_scope("weights"):
        constants = {name: tf.constant(value) for name, value in values.items() if name in needed}
    mapped = {name + ":0": constant for name, constant in constants.items()}
    mapped[placeholder.name] = image
    imported: List[Tensor] = tf.import_graph_def(structure, mapped, names, name=_SCOPE)
    return imported


def fold_batch_norms(
    graph_def: GraphDef, values: Mapping[str, np.ndarray], keep: Iterable[str]
) -> Tuple[GraphDef, Dict[str, np.ndarray]]:
    """Fold every BatchNorm whose input is a convolution with no other reader.

    Args:
        graph_def: ``tf.GraphDef`` of an inference graph, not changed.
        values: variable name -> float32 array.
        keep: names of nodes whose outputs must not change.

    Returns:
        (graph_def, values): each folded BatchNorm is a BiasAdd of the same name; values also holds the
        folded filters and biases, under the nodes' names with ``/folded`` added.
    """
    parts, values, replaced = Parts(graph_def, values), dict(values), {}
    for norm in graph_def.node:
        if norm.op not in _NORMS or norm.attr["is_training"].b:
            continue
        convolution = parts.producer(norm.input[0])
        if (
            convolution.op not in ("Conv2D", _DEPTHWISE)
            or convolution.name in keep
            or parts.readers(convolution.name) != 1
        ):
            continue
        weights, *arrays = (parts.array(name) for name in (convolution.input[1], *norm.input[1:5]))
        if weights is None or any(array is None for array in arrays):
            continue
        gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in arrays)
        scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
        filter_name, bias_name = convolution.name + "/folded", norm.name + "/folded"
        values[bias_name] = (beta - mean * scale).astype(np.float32)
        if convolution.op == _DEPTHWISE:  # its output channels lie before a last axis of size 1
            scale = scale[:, np.newaxis]
        values[filter_name] = (weights * scale).astype(np.float32)
        replaced[convolution.name] = _reading(convolution, convolution.input[0], filter_name)
        bias = tf.NodeDef(name=norm.name, op="BiasAdd", input=[norm.input[0], bias_name])
        for name in {"T", "data_format"}.intersection(norm.attr):
            bias.attr[name].CopyFrom(norm.attr[name])
        replaced[norm.name] = bias
    return _with_nodes(graph_def, replaced), values


def fold_normalization(
    graph_def: GraphDef, values: Mapping[str, np.ndarray]
) -> Tuple[GraphDef, Dict[str, np.ndarray]]:
    """Leave of ``(image - mean) / std``, channels last, the difference alone, before the first convolution.

    The convolution divides its filter by ``std``, channel by channel, and reads the channels in the order
    that the image has them. Zero padding stays where the mean is. Arguments and results are as of
    :func:`fold_batch_norms`, the new values' names ending in ``/normalized``.
    """
    parts, values, replaced = Parts(graph_def, values), dict(values), {}
    for node in graph_def.node:
        quotient = parts.producer(node.input[0]) if node.op == "Conv2D" else node
        if quotient.op != "RealDiv" or parts.readers(quotient.name) != 1:
            continue
        difference = parts.producer(quotient.input[0])
        weights, std = parts.array(node.input[1]), parts.array(quotient.input[1])
        if difference.op != "Sub" or weights is None or std is None:
            continue
        source, mean = difference.input[0], parts.array(difference.input[1])
        if mean is None or mean.shape != std.shape or mean.shape != weights.shape[2:3]:
            continue
        weights = weights / std[:, np.newaxis]
        reverse = parts.producer(source)
        if reverse.op == "ReverseV2":
            if str(parts.array(reverse.input[1])) != "[3]":  # not the channels alone
                continue
            weights, mean, source = weights[:, :, ::-1], mean[::-1], reverse.input[0]
        if (mean == mean[0]).all():
            mean = mean[0]  # a number is subtracted several times as fast
        names = [f"{part.name}/normalized" for part in (difference, node)]
        values.update(zip(names, (np.asarray(mean, np.float32), np.ascontiguousarray(weights))))
        replaced[difference.name] = _reading(difference, source, names[0])
        replaced[node.name] = _reading(node, difference.name, names[1])
    return _with_nodes(graph_def, replaced), values


def _reading(node: NodeDef, *inputs: str) -> NodeDef:
    """A copy of a node with other inputs."""
    changed = tf.NodeDef()
    changed.CopyFrom(node)
    changed.input[:] = inputs
    return changed


def _with_nodes(graph_def: GraphDef, replaced: Mapping[str, NodeDef]) -> GraphDef:
    """A copy of a graph with some nodes replaced."""
    nodes = (replaced.get(node.name, node) for node in graph_def.node)
    return tf.GraphDef(node=nodes, versions=graph_def.versions)


def mark_convolutions(graph_def: GraphDef, filters: Mapping[str, np.ndarray]) -> None:
    """Set :data:`GRADIENT` as the gradient of every convolution that it supports.

    Args:
        graph_def: ``tf.GraphDef``, changed in place: convolutions of stride 1 with SAME padding, without
            dilation and with a filter of odd sides (with even ones the padding would have to be mirrored);
            depthwise ones with one filter for each channel.
        filters: node name -> array, the filter of each convolution that may be marked.
    """
    for node in graph_def.node:
        if node.name not in filters:
            continue
        *sides, _, outputs = filters[node.name].shape
        is_plain = node.attr["padding"].s == b"SAME" and all(
            set(node.attr[name].list.i) <= {1} for name in ("strides", "dilations")
        )
        if is_plain and all(side % 2 for side in sides) and (node.op == "Conv2D" or outputs == 1):
            node.attr["_gradient_op_type"].s = GRADIENT.encode()


def _turned(tensor: Tensor, is_depthwise: bool) -> Tensor:
    """The rotated filter, shared by all passes of a graph: of (H, W, in, out) as (H, W, out, in).

    TensorFlow computes it once, when it prepares the graph: a constant would be in each of its copies.
    """
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    name = f"{_TURNED}/{tensor.op.name}"
    try:
        return tensor.graph.get_tensor_by_name(name + ":0")
    except KeyError:
        with tf.name_scope(None), tf.control_dependencies(None):
            if tensor.shape.as_list()[:2] != [1, 1]:
                tensor = tf.reverse(tensor, [0, 1])
            if is_depthwise:  # an output reads its own input channel alone
                return tf.identity(tensor, name=name)
            return tf.transpose(tensor, [0, 1, 3, 2], name=name)


@tf.RegisterGradient(GRADIENT)  # type: ignore[untyped-decorator]
def _input_gradient(op: Operation, gradient: Tensor) -> Tuple[Tensor, None]:
    is_depthwise = op.type == _DEPTHWISE
    convolve = tf.nn.depthwise_conv2d if is_depthwise else tf.nn.conv2d
    back = convolve(
        gradient,
        _turned(op.inputs[1], is_depthwise),
        strides=[1, 1, 1, 1],
        padding="SAME",
        data_format=op.get_attr("data_format").decode(),
    )
    return back, None
