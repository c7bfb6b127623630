"""The operations of ONNX by those of TensorFlow, one function each, as PyTorch's exporter uses them.

Tensors keep ONNX's order, channels first. Convolutions and pools are computed with channels last between
two transpositions, because TensorFlow has no others on most processors.
"""

from functools import partial, reduce
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from dgl.errors import UserError
from dgl.tf_compat import tf

Attributes = Mapping[str, Any]
Operation = Callable[[List[Any], Attributes], Any]
OPERATIONS: Dict[str, Operation] = {}

_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def operation(*names: str) -> Callable[[Operation], Operation]:
    """Decorator that adds a function of inputs and attributes to :data:`OPERATIONS`."""

    def register(function: Operation) -> Operation:
        OPERATIONS.update((name, function) for name in names)
        return function

    return register


def known(value: Any) -> Optional[np.ndarray]:
    """The value of an input that does not depend on the image, else ``None``."""
    if value is None or isinstance(value, (np.ndarray, np.generic)):
        return value  # type: ignore[return-value]
    found: Optional[np.ndarray] = tf.get_static_value(value)
    return found


def numbers(value: Any, what: str) -> List[int]:
    """Whole numbers of an input that does not depend on the image."""
    found = known(value)
    if found is None:
        raise UserError(f"{what} that only a run tells")
    return [int(number) for number in np.ravel(found)]


def axes_of(inputs: Sequence[Any], attributes: Attributes) -> Optional[List[int]]:
    """Axes of an attribute, as in older files, or of the second input."""
    if "axes" in attributes:
        return list(attributes["axes"])
    return numbers(inputs[1], "axes") if len(inputs) > 1 and inputs[1] is not None else None


def _folded(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda *values: reduce(function, values)


# Functions of the inputs alone.
_SIMPLE: Dict[str, Callable[..., Any]] = {
    "Abs": tf.abs, "Add": tf.add, "And": tf.logical_and, "Ceil": tf.ceil, "Cos": tf.cos,
    "Dropout": lambda x, *_: tf.identity(x), "Equal": tf.equal, "Erf": tf.erf, "Exp": tf.exp,
    "Floor": tf.floor, "Greater": tf.greater, "Identity": tf.identity, "Less": tf.less, "Log": tf.log,
    "MatMul": tf.matmul, "Mod": tf.mod, "Mul": tf.multiply, "Neg": tf.negative, "Not": tf.logical_not,
    "Or": tf.logical_or, "Range": tf.range, "Reciprocal": tf.reciprocal, "Relu": tf.nn.relu,
    "Selu": tf.nn.selu, "Sigmoid": tf.sigmoid, "Sign": tf.sign, "Sin": tf.sin, "Size": tf.size,
    "Softplus": tf.nn.softplus, "Softsign": tf.nn.softsign, "Sqrt": tf.sqrt, "Sub": tf.subtract,
    "Tanh": tf.tanh, "Tile": tf.tile, "Where": lambda c, a, b: tf.where_v2(c, a, b),
    "CastLike": lambda x, other: tf.cast(x, tf.convert_to_tensor(other).dtype),
    "GlobalAveragePool": lambda x: tf.reduce_mean(x, [2, 3], keepdims=True),
    "GlobalMaxPool": lambda x: tf.reduce_max(x, [2, 3], keepdims=True),
    "HardSwish": lambda x: x * (tf.nn.relu6(x + 3.0) / 6.0),
    "Max": _folded(tf.maximum),
    "Mean": lambda *values: tf.add_n(list(values)) / float(len(values)),
    "Min": _folded(tf.minimum),
    "Mish": lambda x: x * tf.tanh(tf.nn.softplus(x)),
    "Pow": lambda x, power: tf.pow(x, tf.cast(power, x.dtype)),
    "PRelu": lambda x, slope: tf.nn.relu(x) - slope * tf.nn.relu(-x),
    "Sum": lambda *values: tf.add_n(list(values)),
}  # fmt: skip
# Functions of the first input and attributes.
_WITH_ATTRIBUTES: Dict[str, Callable[[Any, Attributes], Any]] = {
    "HardSigmoid": lambda x, a: tf.maximum(
        tf.minimum(a.get("alpha", 0.2) * x + a.get("beta", 0.5), 1.0), 0.0
    ),
    "LeakyRelu": lambda x, a: tf.nn.leaky_relu(x, a.get("alpha", 0.01)),
    "LogSoftmax": lambda x, a: tf.nn.log_softmax(x, axis=a.get("axis", -1)),
    "Softmax": lambda x, a: tf.nn.softmax(x, axis=a.get("axis", -1)),
    "Transpose": lambda x, a: tf.transpose(x, a.get("perm")),
}


def _of_inputs(function: Callable[..., Any], inputs: List[Any], attributes: Attributes) -> Any:
    return function(*inputs)


def _of_first(function: Callable[..., Any], inputs: List[Any], attributes: Attributes) -> Any:
    return function(inputs[0], attributes)


OPERATIONS.update((name, partial(_of_inputs, function)) for name, function in _SIMPLE.items())
OPERATIONS.update((name, partial(_of_first, f)) for name, f in _WITH_ATTRIBUTES.items())


@operation("Div")
def _divide(inputs: List[Any], attributes: Attributes) -> Any:
    first, second = (tf.convert_to_tensor(value) for value in inputs)
    return first // second if first.dtype.is_integer else first / second


@operation("Elu")
def _elu(inputs: List[Any], attributes: Attributes) -> Any:
    alpha = attributes.get("alpha", 1.0)
    features = inputs[0]
    return tf.nn.relu(features) + alpha * (tf.exp(tf.minimum(features, 0.0)) - 1.0)


@operation("Gelu")
def _gelu(inputs: List[Any], attributes: Attributes) -> Any:
    x = inputs[0]
    if attributes.get("approximate") == "tanh":
        return 0.5 * x * (1.0 + tf.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + tf.erf(x * 0.7071067812))


@operation("Clip")
def _clip(inputs: List[Any], attributes: Attributes) -> Any:
    limits = [attributes.get("min"), attributes.get("max")]
    for place, given in enumerate(inputs[1:3]):
        limits[place] = given if given is not None else limits[place]
    if [known(limit) if limit is not None else None for limit in limits] == [0, 6]:
        return tf.nn.relu6(inputs[0])
    found = inputs[0] if limits[0] is None else tf.maximum(inputs[0], limits[0])
    return found if limits[1] is None else tf.minimum(found, limits[1])


# --- weights


def channels_last(tensor: Any) -> Any:
    """(N, C, H, W) as (N, H, W, C)."""
    return tf.transpose(tensor, _TO_LAST)


def channels_first(tensor: Any) -> Any:
    """(N, H, W, C) as (N, C, H, W)."""
    return tf.transpose(tensor, _TO_FIRST)


def _padded(features: Any, attributes: Attributes, fill: float = 0.0) -> Any:
    """(N, H, W, C) with the paddings of a convolution or pool, those of ``ceil_mode`` included."""
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
    if attributes.get("ceil_mode"):
        sides = features.shape.as_list()[1:3]
        for axis, side in enumerate(sides):
            kernel, stride = attributes["kernel_shape"][axis], _pair(attributes, "strides")[axis]
            if side is None:
                raise UserError("a pool with ceil_mode on images of any size")
            rest = (side + pads[axis] + pads[axis + 2] - kernel) % stride
            pads[axis + 2] += (stride - rest) % stride
    if not any(pads):
        return features
    widths = [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]]
    return tf.pad(features, widths, constant_values=fill)


def _pair(attributes: Attributes, name: str) -> List[int]:
    return list(attributes.get(name, [1, 1]))


def _padding(attributes: Attributes) -> str:
    told = attributes.get("auto_pad", "NOTSET")
    if told == "SAME_LOWER":
        raise UserError("padding SAME_LOWER")
    return "SAME" if told == "SAME_UPPER" else "VALID"


@operation("Conv")
def _convolution(inputs: List[Any], attributes: Attributes) -> Any:
    kernel = tf.transpose(inputs[1], [2, 3, 1, 0])
    if kernel.shape.ndims != 4:
        raise UserError("a convolution of other than two sides")
    strides, dilations = _pair(attributes, "strides"), _pair(attributes, "dilations")
    features = _padded(channels_last(inputs[0]), attributes)
    result = tf.nn.conv2d(
        features,
        kernel,
        strides=[1, *strides, 1],
        padding=_padding(attributes),
        dilations=[1, *dilations, 1],
    )
    if len(inputs) > 2 and inputs[2] is not None:
        result = tf.nn.bias_add(result, inputs[2])
    return channels_first(result)


@operation("ConvTranspose")
def _turned_convolution(inputs: List[Any], attributes: Attributes) -> Any:
    if attributes.get("group", 1) != 1 or set(_pair(attributes, "dilations")) != {1}:
        raise UserError("a transposed convolution in groups or with dilation")
    features, kernel = channels_last(inputs[0]), tf.transpose(inputs[1], [2, 3, 1, 0])
    strides, pads = _pair(attributes, "strides"), attributes.get("pads", [0, 0, 0, 0])
    more = list(attributes.get("output_padding", [0, 0]))
    sides = features.shape.as_list()[1:3]
    size = kernel.shape.as_list()
    whole = [(side - 1) * stride + own for side, stride, own in zip(sides, strides, size)]
    shape = [tf.shape(features)[0], whole[0] + more[0], whole[1] + more[1], size[2]]
    result = tf.nn.conv2d_transpose(features, kernel, shape, [1, *strides, 1], "VALID")
    ends = [whole[axis] + more[axis] - pads[axis + 2] for axis in (0, 1)]
    result = result[:, pads[0] : ends[0], pads[1] : ends[1]]
    if len(inputs) > 2 and inputs[2] is not None:
        result = tf.nn.bias_add(result, inputs[2])
    return channels_first(result)


@operation("Gemm")
def _dense(inputs: List[Any], attributes: Attributes) -> Any:
    result = attributes.get("alpha", 1.0) * tf.matmul(
        inputs[0],
        inputs[1],
        transpose_a=bool(attributes.get("transA")),
        transpose_b=bool(attributes.get("transB")),
    )
    if len(inputs) > 2 and inputs[2] is not None:
        result += attributes.get("beta", 1.0) * inputs[2]
    return result


@operation("Einsum")
def _einsum(inputs: List[Any], attributes: Attributes) -> Any:
    return tf.einsum(attributes["equation"].replace(" ", ""), *inputs)


def _along(value: Any, features: Any) -> Any:
    """(C,) shaped so that it goes along the channels of (N, C, ...)."""
    return tf.reshape(value, [1, -1] + [1] * (features.shape.ndims - 2))


@operation("BatchNormalization")
def _batch_norm(inputs: List[Any], attributes: Attributes) -> Any:
    features, scale, bias, mean, variance = inputs[:5]
    factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return features * _along(factor, features) + _along(bias - mean * factor, features)


def _standardized(features: Any, axes: List[int], epsilon: float) -> Any:
    mean = tf.reduce_mean(features, axes, keepdims=True)
    apart = features - mean
    return apart * tf.rsqrt(tf.reduce_mean(tf.square(apart), axes, keepdims=True) + epsilon)


@operation("LayerNormalization")
def _layer_norm(inputs: List[Any], attributes: Attributes) -> Any:
    rank = inputs[0].shape.ndims
    axes = list(range(attributes.get("axis", -1) % rank, rank))
    result = _standardized(inputs[0], axes, attributes.get("epsilon", 1e-5)) * inputs[1]
    return result + inputs[2] if len(inputs) > 2 and inputs[2] is not None else result


@operation("InstanceNormalization")
def _instance_norm(inputs: List[Any], attributes: Attributes) -> Any:
    features, scale, bias = inputs
    axes = list(range(2, features.shape.ndims))
    result = _standardized(features, axes, attributes.get("epsilon", 1e-5))
    return result * _along(scale, features) + _along(bias, features)


# --- pools and reductions


@operation("MaxPool")
def _max_pool(inputs: List[Any], attributes: Attributes) -> Any:
    if set(_pair(attributes, "dilations")) != {1}:
        raise UserError("a pool with dilation")
    features = _padded(channels_last(inputs[0]), attributes, fill=float(np.finfo(np.float32).min))
    sizes = [1, *attributes["kernel_shape"], 1]
    strides = [1, *_pair(attributes, "strides"), 1]
    return channels_first(tf.nn.max_pool(features, sizes, strides, _padding(attributes)))


@operation("AveragePool")
def _average_pool(inputs: List[Any], attributes: Attributes) -> Any:
    features = channels_last(inputs[0])
    sizes = [1, *attributes["kernel_shape"], 1]
    strides = [1, *_pair(attributes, "strides"), 1]
    padded = _padded(features, attributes)
    result = tf.nn.avg_pool(padded, sizes, strides, _padding(attributes))
    if padded is not features and not attributes.get("count_include_pad"):
        ones = _padded(tf.ones_like(features[:1, :, :, :1]), attributes)
        result /= tf.nn.avg_pool(ones, sizes, strides, _padding(attributes))
    return channels_first(result)


def _reduced(function: Callable[..., Any], inputs: List[Any], attributes: Attributes) -> Any:
    axes = axes_of(inputs, attributes)
    if not axes and attributes.get("noop_with_empty_axes"):
        return inputs[0]
    return function(inputs[0], axes or None, keepdims=bool(attributes.get("keepdims", 1)))


_REDUCTIONS: Dict[str, Callable[..., Any]] = {
    "ReduceL2": lambda x, axes, keepdims: tf.sqrt(tf.reduce_sum(x * x, axes, keepdims=keepdims)),
    "ReduceMax": tf.reduce_max,
    "ReduceMean": tf.reduce_mean,
    "ReduceMin": tf.reduce_min,
    "ReduceProd": tf.reduce_prod,
    "ReduceSum": tf.reduce_sum,
}
OPERATIONS.update((name, partial(_reduced, function)) for name, function in _REDUCTIONS.items())
