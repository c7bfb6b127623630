"""Translate the operations of ONNX that PyTorch's exporter writes to those of TensorFlow.

Each is a function of ONNX's inputs, in their order, and of its attributes, by their names; what some
versions of ONNX have as an input and others as an attribute is one parameter. Tensors keep ONNX's order,
channels first. Convolutions and pools are computed with channels last between two transpositions, because
TensorFlow has no others on most processors.
"""

import inspect
from functools import partial, reduce
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from dgl.errors import UserError
from dgl.tf_compat import tf

# Attributes of convolutions and pools, where a file does not give them.
_WINDOW = {
    "pads": (0, 0, 0, 0), "auto_pad": "", "strides": (1, 1), "dilations": (1, 1), "group": 1,
    "output_padding": (0, 0), "ceil_mode": 0, "count_include_pad": 0,
}  # fmt: skip
# ONNX's numbers of types; those of half precision are widened.
_TYPES = {**dict.fromkeys((1, 10, 16), "float32"), 6: "int32", 7: "int64", 9: "bool", 11: "float64"}
_HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")


def _known(value: Any) -> Any:
    """The value of an input that does not depend on the image, else ``None``."""
    return tf.get_static_value(value) if tf.is_tensor(value) else value


def _numbers(value: Any, what: str) -> Optional[List[int]]:
    """Whole numbers that do not depend on the image; ``None`` of ``None``."""
    found = _known(value)
    if found is None and value is not None:
        raise UserError(f"{what} that only a run tells")
    return None if value is None else [int(number) for number in np.ravel(found)]


def _divide(x: Any, y: Any) -> Any:
    first, second = map(tf.convert_to_tensor, (x, y))
    return first // second if first.dtype.is_integer else first / second


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + tf.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + tf.erf(x * 0.7071067812))


def _clip(x: Any, min: Any = None, max: Any = None) -> Any:
    if [_known(min), _known(max)] == [0, 6]:
        return tf.nn.relu6(x)
    found = x if min is None else tf.maximum(x, min)
    return found if max is None else tf.minimum(found, max)


# --- weights


_channels_last = partial(tf.transpose, perm=[0, 2, 3, 1])
_channels_first = partial(tf.transpose, perm=[0, 3, 1, 2])


def _padded(features: Any, pads: Sequence[int], fill: float = 0.0) -> Any:
    """(N, H, W, C) with the paddings of a convolution or pool."""
    widths = [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]]
    return tf.pad(features, widths, constant_values=fill) if any(pads) else features


def _padding(auto_pad: str) -> str:
    if auto_pad == "SAME_LOWER":
        raise UserError("padding SAME_LOWER")
    return "SAME" if auto_pad == "SAME_UPPER" else "VALID"


def _convolution(x: Any, weights: Any, biases: Any = None, **window: Any) -> Any:
    result = tf.nn.conv2d(
        _padded(_channels_last(x), window["pads"]),
        tf.transpose(weights, [2, 3, 1, 0]),
        strides=[1, *window["strides"], 1],
        padding=_padding(window["auto_pad"]),
        dilations=[1, *window["dilations"], 1],
    )
    return _channels_first(result if biases is None else tf.nn.bias_add(result, biases))


def _turned_convolution(x: Any, weights: Any, biases: Any = None, **window: Any) -> Any:
    if window["group"] != 1 or set(window["dilations"]) != {1}:
        raise UserError("a transposed convolution in groups or with dilation")
    features, kernel = _channels_last(x), tf.transpose(weights, [2, 3, 1, 0])
    size, pads, ends = kernel.shape.as_list(), window["pads"], []
    for axis, side in enumerate(features.shape.as_list()[1:3]):
        reached = (side - 1) * window["strides"][axis] + size[axis]
        ends.append(reached + window["output_padding"][axis])
    shape, strides = [tf.shape(features)[0], *ends, size[2]], [1, *window["strides"], 1]
    result = tf.nn.conv2d_transpose(features, kernel, shape, strides, "VALID")
    result = result[:, pads[0] : ends[0] - pads[2], pads[1] : ends[1] - pads[3]]
    return _channels_first(result if biases is None else tf.nn.bias_add(result, biases))


def _dense(
    x: Any,
    y: Any,
    z: Any = None,
    alpha: Any = 1.0,
    beta: Any = 1.0,
    transA: Any = 0,
    transB: Any = 0,
) -> Any:
    result = alpha * tf.matmul(x, y, transpose_a=bool(transA), transpose_b=bool(transB))
    return result if z is None else result + beta * z


def _along(value: Any, features: Any) -> Any:
    """(C,) shaped so that it goes along the channels of (N, C, ...)."""
    return tf.reshape(value, [1, -1] + [1] * (features.shape.ndims - 2))


def _batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, variance: Any, *, epsilon: float = 1e-5
) -> Any:
    factor = scale / np.sqrt(variance + epsilon)
    return x * _along(factor, x) + _along(bias - mean * factor, x)


def _standardized(features: Any, first: int, epsilon: float) -> Any:
    """Mean 0 and deviation 1 over an axis and those behind it."""
    axes = list(range(first % features.shape.ndims, features.shape.ndims))
    mean = tf.reduce_mean(features, axes, keepdims=True)
    apart = features - mean
    return apart * tf.rsqrt(tf.reduce_mean(tf.square(apart), axes, keepdims=True) + epsilon)


def _layer_norm(
    x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5
) -> Any:
    result = _standardized(x, axis, epsilon) * scale
    return result if bias is None else result + bias


def _instance_norm(x: Any, scale: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    return _standardized(x, 2, epsilon) * _along(scale, x) + _along(bias, x)


# --- pools and reductions


def _pool(function: Any, x: Any, **window: Any) -> Any:
    kernel, strides, pads = window["kernel_shape"], window["strides"], list(window["pads"])
    if set(window["dilations"]) != {1}:
        raise UserError("a pool with dilation")
    features = _channels_last(x)
    for axis, side in enumerate(features.shape.as_list()[1:3] if window["ceil_mode"] else ()):
        if side is None:
            raise UserError("a pool with ceil_mode on images of any size")
        rest = (side + pads[axis] + pads[axis + 2] - kernel[axis]) % strides[axis]
        pads[axis + 2] += (strides[axis] - rest) % strides[axis]
    settings = [1, *kernel, 1], [1, *strides, 1], _padding(window["auto_pad"])
    fill = float(np.finfo(np.float32).min) if function is tf.nn.max_pool else 0.0
    result = function(_padded(features, pads, fill), *settings)
    if function is tf.nn.avg_pool and any(pads) and not window["count_include_pad"]:
        result /= function(_padded(tf.ones_like(features[:1, :, :, :1]), pads), *settings)
    return _channels_first(result)


def _reduced(
    function: Any, x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Any:
    axes = _numbers(axes, "axes")
    if not axes and noop_with_empty_axes:
        return x
    return function(x, axes or None, keepdims=bool(keepdims))


# --- what moves values


def _reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    wanted = _known(shape)
    if wanted is None:
        return tf.reshape(x, shape)
    found = tf.shape(x, out_type=tf.int64)
    static = x.shape.as_list() if x.shape.ndims is not None else []
    sizes: Any = []
    for axis, size in enumerate(wanted.ravel()):
        # 0 copies a size, which may be that of the batch.
        keeps = size == 0 and not allowzero
        own = static[axis] if keeps and axis < len(static) else None
        sizes.append(int(size) if not keeps else own if own is not None else found[axis])
    if not all(isinstance(size, int) for size in sizes):
        sizes = tf.stack([tf.cast(size, tf.int64) for size in sizes])
    return tf.reshape(x, sizes)


def _flatten(x: Any, *, axis: int = 1) -> Any:
    if axis != 1:
        raise UserError("a flattening from another axis than the first")
    sizes = x.shape.as_list()[1:]
    return tf.reshape(x, [tf.shape(x)[0], -1] if None in sizes else [-1, int(np.prod(sizes))])


def _unsqueeze(x: Any, axes: Any) -> Any:
    result, places = tf.convert_to_tensor(x), _numbers(axes, "axes") or []
    rank = result.shape.ndims + len(places)
    for axis in sorted(axis % rank for axis in places):
        result = tf.expand_dims(result, axis)
    return result


def _split(x: Any, split: Any = None, *, axis: int = 0, num_outputs: int = 0) -> Any:
    return tf.split(x, num_outputs if split is None else _numbers(split, "sizes"), axis)


def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    begins = _numbers(starts, "places of a slice") or []
    ends = _numbers(ends, "places of a slice")
    axes = _numbers(axes, "axes") or range(len(begins))
    steps = _numbers(steps, "steps") or [1] * len(begins)
    data = tf.convert_to_tensor(x)
    places = [slice(None)] * data.shape.ndims
    for axis, start, end, step in zip(axes, begins, ends, steps):
        # The largest number stands for the end, the smallest for the beginning.
        places[axis] = slice(start, None if abs(end) >= 2**31 - 1 else end, step)
    return data[tuple(places)]


def _gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    data, places = tf.convert_to_tensor(x), _known(indices)
    if places is None:
        return tf.gather(data, indices, axis=axis)
    if np.ndim(places) == 0:
        return data[(slice(None),) * (axis % data.shape.ndims) + (int(places),)]
    size = data.shape.as_list()[axis]
    return tf.gather(data, places % size if size else places, axis=axis)


def _expand(x: Any, shape: Any) -> Any:
    shape = tf.broadcast_dynamic_shape(tf.shape(x), tf.cast(shape, tf.int32))
    return tf.broadcast_to(x, shape)


def _constant_of_shape(shape: Any, *, value: Any = None) -> Any:
    filled = np.float32(0) if value is None else value.ravel()[0]
    return tf.fill(tf.cast(shape, tf.int32), filled)


def _cast(x: Any, *, to: int) -> Any:
    if to not in _TYPES:
        raise UserError(f"a cast to the type {to}")
    return tf.cast(x, _TYPES[to])


def _arg_max(x: Any, axis: int = 0, keepdims: int = 1) -> Any:
    found = tf.argmax(x, axis)
    return tf.expand_dims(found, axis) if keepdims else found


def _pad(x: Any, pads: Any, fill: Any = None, axes: Any = None, *, mode: str = "constant") -> Any:
    if mode == "edge":
        raise UserError("a padding that repeats the edge")
    sizes = _numbers(pads, "paddings") or []
    half = len(sizes) // 2
    widths = [[0, 0] for _ in range(x.shape.ndims)]
    for place, axis in enumerate(range(half) if axes is None else _numbers(axes, "axes") or ()):
        widths[axis] = [sizes[place], sizes[place + half]]
    value = _known(fill)
    return tf.pad(x, widths, mode.upper(), constant_values=0.0 if value is None else float(value))


def _resize(
    x: Any, *given: Any, mode: str = "nearest", coordinate_transformation_mode: str = "half_pixel"
) -> Any:
    """``given`` is (region, scales, sizes), or the scales alone in older files."""
    sizes = _known(given[2]) if len(given) > 2 else None
    scales = _known(given[-1]) if sizes is None else None
    sides = x.shape.as_list()[2:]
    if sizes is not None:
        wanted = [int(size) for size in sizes[2:]]
    elif scales is not None and scales.size == 4 and None not in sides:
        wanted = [int(np.floor(side * scale)) for side, scale in zip(sides, scales[2:])]
    else:
        raise UserError("a resizing to a size that only a run tells")
    features, places = _channels_last(x), coordinate_transformation_mode
    if mode == "nearest":
        if any(w % s for w, s in zip(wanted, sides)):
            raise UserError("a resizing to the nearest value by no whole factor")
        made = tf.image.resize_nearest_neighbor(features, wanted)
    elif mode == "linear" and places in (*_HALF_PIXEL, "align_corners", "asymmetric"):
        is_aligned, is_half = places == "align_corners", places in _HALF_PIXEL
        made = tf.image.resize_bilinear(features, wanted, is_aligned, half_pixel_centers=is_half)
    else:
        raise UserError(f"a resizing of mode {mode} {places}")
    return _channels_first(made)


OPERATIONS: Dict[str, Callable[..., Any]] = {
    "Abs": tf.abs, "Add": tf.add, "And": tf.logical_and, "ArgMax": _arg_max,
    "AveragePool": partial(_pool, tf.nn.avg_pool), "BatchNormalization": _batch_norm, "Cast": _cast,
    "Ceil": tf.ceil, "Clip": _clip, "ConstantOfShape": _constant_of_shape, "Conv": _convolution,
    "ConvTranspose": _turned_convolution, "Cos": tf.cos, "Div": _divide,
    "Dropout": lambda x, *_: tf.identity(x), "Equal": tf.equal, "Erf": tf.erf,
    "Exp": tf.exp, "Expand": _expand, "Flatten": _flatten, "Floor": tf.floor, "Gather": _gather,
    "Gelu": _gelu, "Gemm": _dense, "Greater": tf.greater, "Identity": tf.identity,
    "InstanceNormalization": _instance_norm, "LayerNormalization": _layer_norm, "Less": tf.less,
    "Log": tf.log, "LogSoftmax": tf.nn.log_softmax, "MatMul": tf.matmul,
    "MaxPool": partial(_pool, tf.nn.max_pool), "Mod": tf.mod, "Mul": tf.multiply,
    "Neg": tf.negative, "Not": tf.logical_not, "Or": tf.logical_or, "Pad": _pad, "Range": tf.range,
    "Reciprocal": tf.reciprocal, "ReduceMax": partial(_reduced, tf.reduce_max),
    "ReduceMean": partial(_reduced, tf.reduce_mean), "ReduceMin": partial(_reduced, tf.reduce_min),
    "ReduceProd": partial(_reduced, tf.reduce_prod), "ReduceSum": partial(_reduced, tf.reduce_sum),
    "Relu": tf.nn.relu, "Reshape": _reshape, "Resize": _resize, "Selu": tf.nn.selu,
    "Sigmoid": tf.sigmoid, "Sign": tf.sign, "Sin": tf.sin, "Size": tf.size, "Slice": _slice,
    "Softmax": tf.nn.softmax, "Softplus": tf.nn.softplus, "Softsign": tf.nn.softsign,
    "Split": _split, "Sqrt": tf.sqrt, "Sub": tf.subtract, "Tanh": tf.tanh, "Tile": tf.tile,
    "Transpose": tf.transpose, "Unsqueeze": _unsqueeze, "Upsample": _resize, "Where": tf.where_v2,
    "CastLike": lambda x, other: tf.cast(x, tf.convert_to_tensor(other).dtype),
    "Concat": lambda *values, axis: tf.concat(values, axis),
    "Elu": lambda x, alpha=1.0: tf.nn.relu(x) + alpha * (tf.exp(tf.minimum(x, 0.0)) - 1.0),
    "Einsum": lambda *values, equation: tf.einsum(equation.replace(" ", ""), *values),
    "GlobalAveragePool": lambda x: tf.reduce_mean(x, [2, 3], keepdims=True),
    "GlobalMaxPool": lambda x: tf.reduce_max(x, [2, 3], keepdims=True),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: tf.maximum(tf.minimum(alpha * x + beta, 1.0), 0.0),
    "HardSwish": lambda x: x * (tf.nn.relu6(x + 3.0) / 6.0),
    "LeakyRelu": lambda x, alpha=0.01: tf.nn.leaky_relu(x, alpha),
    "Max": lambda *values: reduce(tf.maximum, values),
    "Mean": lambda *values: tf.add_n(list(values)) / float(len(values)),
    "Min": lambda *values: reduce(tf.minimum, values),
    "Mish": lambda x: x * tf.tanh(tf.nn.softplus(x)),
    "Pow": lambda x, power: tf.pow(x, tf.cast(power, x.dtype)),
    "PRelu": lambda x, slope: tf.nn.relu(x) - slope * tf.nn.relu(-x),
    "ReduceL2": partial(_reduced, lambda x, *axes, **kept: tf.sqrt(tf.reduce_sum(x * x, *axes, **kept))),
    "Shape": lambda x, start=0, end=None: tf.shape(x, out_type=tf.int64)[start:end],
    "Squeeze": lambda x, axes=None: tf.squeeze(x, _numbers(axes, "axes")),
    "Sum": lambda *values: tf.add_n(list(values)),
}  # fmt: skip


def translate(kind: str, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Build an operation; attributes that its function here does not name are left out."""
    signature = inspect.signature(OPERATIONS[kind])
    free = set(signature.parameters) - set(signature.bind_partial(*inputs).arguments)
    if "window" in free:
        return OPERATIONS[kind](*inputs, **{**_WINDOW, **attributes})
    own = {name: value for name, value in attributes.items() if name in free}
    return OPERATIONS[kind](*inputs, **own)
