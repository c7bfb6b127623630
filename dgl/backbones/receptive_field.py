"""Receptive fields: which part of the image each place of a layer sees, computed from the graph.

Operations keep places (ReLU, BatchNorm, sums) or move a window over them (convolutions, poolings).
Windows compose: place *i* sees the pixels ``stride * i + first`` to ``stride * i + last`` along an
axis; where branches meet, what any of them sees counts. A global pooling, as in squeeze-excite's gates,
is left out and said so.
"""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from dgl.tf_compat import lazy_tf as tf
from dgl.utils.graph_walk import upstream

Pair = Tuple[int, ...]

_WINDOWS = {"Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool"}
_PLACE_BY_PLACE = frozenset(
    "Add AddV2 BiasAdd Cast ConcatV2 FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Identity Mul RealDiv "
    "Relu Relu6 Sub Transpose".split()
)
_PADDINGS = {"Pad", "PadV2"}
_GLOBAL = {"Mean", "Sum", "Max"}


class Field(NamedTuple):
    """What place (row, column) of an activation sees; pairs are (vertical, horizontal)."""

    stride: Pair  # pixels from one place to the next
    first: Pair  # the first pixel that place 0 sees, negative in the padding
    size: Pair  # side of what a place sees in pixels, padding included
    # Whether a global pooling was left out, through which a place sees all of the image
    sees_all: bool = False


_EVERYTHING = object()


def receptive_fields(tensors: Sequence[Any], image: Any) -> List[Field]:
    """The receptive fields of activations.

    Args:
        tensors: (N, H, W, C) or, where the graph computes so, (N, C, H, W); of static size.
        image: the image that they are computed from.

    Raises:
        ValueError: an activation does not depend on the image place by place, branches of different
            strides meet, or an operation is none that is known here.
    """
    seen: Dict[Any, Any] = {image.op: Field((1, 1), (0, 0), (1, 1))}
    fields = []
    for tensor in tensors:
        for op in upstream(tensor) if tensor.op not in seen else ():
            if op not in seen:
                seen[op] = _after(op, [seen.get(read.op) for read in op.inputs])
        field = seen[tensor.op]
        if not isinstance(field, Field):
            raise ValueError(f"{tensor.name}: no activation of the image's places")
        fields.append(field)
    return fields


def _after(op: Any, inputs: Sequence[Any]) -> Any:
    """What an operation's output sees, given what its inputs see (``None``: nothing of the image)."""
    local = [field for field in inputs if isinstance(field, Field)]
    if not local:
        return _EVERYTHING if _EVERYTHING in inputs else None
    if op.type in _GLOBAL:
        return _EVERYTHING
    if op.type in _WINDOWS:
        return _through_window(local[0], *_window_of(op))
    if op.type in _PADDINGS:
        amounts = tf.get_static_value(op.inputs[1])
        axes = (2, 3) if amounts[3].any() else (1, 2)
        return _through_window(local[0], (1, 1), (1, 1), [int(amounts[axis][0]) for axis in axes])
    # From RGB to BGR, channels last.
    is_reversal = op.type == "ReverseV2" and list(tf.get_static_value(op.inputs[1])) == [3]
    if op.type not in _PLACE_BY_PLACE and not is_reversal:
        raise ValueError(f"{op.name}: what places {op.type} keeps is not known")
    stride = local[0].stride
    if any(field.stride != stride for field in local):
        raise ValueError(f"{op.name}: branches of different strides meet")
    first = tuple(min(field.first[axis] for field in local) for axis in (0, 1))
    last = [max(field.first[axis] + field.size[axis] for field in local) for axis in (0, 1)]
    sees_all = _EVERYTHING in inputs or any(field.sees_all for field in local)
    return Field(stride, first, (last[0] - first[0], last[1] - first[1]), sees_all)


def _through_window(
    field: Field, extent: Sequence[int], step: Sequence[int], before: Sequence[int]
) -> Field:
    """Place *i* of the output reads places ``step * i - before`` and ``extent - 1`` more."""
    stride = tuple(field.stride[axis] * step[axis] for axis in (0, 1))
    first = tuple(field.first[axis] - field.stride[axis] * before[axis] for axis in (0, 1))
    size = tuple(field.size[axis] + field.stride[axis] * (extent[axis] - 1) for axis in (0, 1))
    return Field(stride, first, size, field.sees_all)


def _window_of(op: Any) -> Tuple[List[int], List[int], List[int]]:
    """(extent, step, padding in front) of a window, pairs of int."""
    axes = (1, 2) if op.get_attr("data_format") == b"NHWC" else (2, 3)
    steps = [op.get_attr("strides")[axis] for axis in axes]
    if op.type in ("MaxPool", "AvgPool"):
        extent = [op.get_attr("ksize")[axis] for axis in axes]
    else:
        kernel = op.inputs[1].shape.as_list()[:2]
        dilations = [op.get_attr("dilations")[axis] for axis in axes]
        extent = [(side - 1) * apart + 1 for side, apart in zip(kernel, dilations)]
    sides = [op.inputs[0].shape.as_list()[axis] for axis in axes]
    padding = op.get_attr("padding")
    if padding == b"EXPLICIT":
        ends = op.get_attr("explicit_paddings")
        return extent, steps, [ends[2 * axis] for axis in axes]
    if padding == b"VALID":
        return extent, steps, [0, 0]
    # TensorFlow's SAME: what lacks for a place every `step`, the smaller half of it in front.
    lacking = [
        max(0, (-(-side // step) - 1) * step + reach - side)
        for side, step, reach in zip(sides, steps, extent)
    ]
    return extent, steps, [lack // 2 for lack in lacking]


class Layer(NamedTuple):
    """One layer of a backbone."""

    index: int  # type: ignore[assignment]  # this and the name: as `--clayer` takes either
    name: str
    shape: Tuple[int, int, int]  # (height, width, channels) of its activation
    field: Field


def layer_table(backbone: Any, options: Any, image_size: int) -> List[Layer]:
    """Every layer of a backbone built with ``options``, channels last, in the order of ``--clayer``."""
    from dgl.backbones.network import build_network

    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, image_size, image_size, 3])
        network = build_network(backbone, image, options)
        activations = [network.endpoints[name] for name in backbone.layers]
        return [
            Layer(index, name, tuple(activation.shape.as_list()[1:]), field)
            for index, (name, activation, field) in enumerate(
                zip(backbone.layers, activations, receptive_fields(activations, image))
            )
        ]
