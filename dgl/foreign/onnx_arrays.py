"""Operations of ONNX that move values: shapes, slices, concatenations, resizing."""

from typing import Any, List

import numpy as np

from dgl.errors import UserError
from dgl.foreign.onnx_operations import (
    Attributes,
    axes_of,
    channels_first,
    channels_last,
    known,
    numbers,
    operation,
)
from dgl.tf_compat import tf

# ONNX's numbers of types; those of half precision are widened.
_TYPES = {**dict.fromkeys((1, 10, 16), "float32"), 6: "int32", 7: "int64", 9: "bool", 11: "float64"}
_HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")


@operation("Reshape")
def _reshape(inputs: List[Any], attributes: Attributes) -> Any:
    wanted = known(inputs[1])
    if wanted is None:
        return tf.reshape(inputs[0], inputs[1])
    shape = tf.shape(inputs[0], out_type=tf.int64)
    static = inputs[0].shape.as_list() if inputs[0].shape.ndims is not None else []
    sizes: Any = []
    for axis, size in enumerate(wanted.ravel()):
        # 0 copies a size, which may be that of the batch.
        keeps = size == 0 and not attributes.get("allowzero")
        own = static[axis] if keeps and axis < len(static) else None
        sizes.append(int(size) if not keeps else own if own is not None else shape[axis])
    if not all(isinstance(size, int) for size in sizes):
        sizes = tf.stack([tf.cast(size, tf.int64) for size in sizes])
    return tf.reshape(inputs[0], sizes)


@operation("Flatten")
def _flatten(inputs: List[Any], attributes: Attributes) -> Any:
    if attributes.get("axis", 1) != 1:
        raise UserError("a flattening from another axis than the first")
    sizes = inputs[0].shape.as_list()[1:]
    return tf.reshape(
        inputs[0], [-1, int(np.prod(sizes))] if None not in sizes else [tf.shape(inputs[0])[0], -1]
    )


@operation("Squeeze")
def _squeeze(inputs: List[Any], attributes: Attributes) -> Any:
    return tf.squeeze(inputs[0], axes_of(inputs, attributes))


@operation("Unsqueeze")
def _unsqueeze(inputs: List[Any], attributes: Attributes) -> Any:
    result = tf.convert_to_tensor(inputs[0])
    axes = axes_of(inputs, attributes) or []
    rank = result.shape.ndims + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        result = tf.expand_dims(result, axis)
    return result


@operation("Concat")
def _concat(inputs: List[Any], attributes: Attributes) -> Any:
    return tf.concat(inputs, attributes["axis"])


@operation("Split")
def _split(inputs: List[Any], attributes: Attributes) -> Any:
    axis = attributes.get("axis", 0)
    if "split" in attributes:
        return tf.split(inputs[0], list(attributes["split"]), axis)
    if len(inputs) > 1 and inputs[1] is not None:
        return tf.split(inputs[0], numbers(inputs[1], "sizes"), axis)
    return tf.split(inputs[0], attributes["num_outputs"], axis)


@operation("Slice")
def _slice(inputs: List[Any], attributes: Attributes) -> Any:
    if "starts" in attributes:
        given = [attributes["starts"], attributes["ends"], attributes.get("axes"), None]
    else:
        given = [*inputs[1:], None, None][:4]
    starts, ends = (numbers(value, "places of a slice") for value in given[:2])
    axes = list(range(len(starts))) if given[2] is None else numbers(given[2], "axes")
    steps = [1] * len(starts) if given[3] is None else numbers(given[3], "steps")
    data = tf.convert_to_tensor(inputs[0])
    places = [slice(None)] * data.shape.ndims
    for axis, start, end, step in zip(axes, starts, ends, steps):
        # The largest number stands for the end, the smallest for the beginning.
        far = abs(end) >= 2**31 - 1
        places[axis] = slice(start, None if far else end, step)
    return data[tuple(places)]


@operation("Gather")
def _gather(inputs: List[Any], attributes: Attributes) -> Any:
    axis = attributes.get("axis", 0)
    data, places = tf.convert_to_tensor(inputs[0]), known(inputs[1])
    if places is None:
        return tf.gather(data, inputs[1], axis=axis)
    if np.ndim(places) == 0:
        return data[(slice(None),) * (axis % data.shape.ndims) + (int(places),)]
    size = data.shape.as_list()[axis]
    return tf.gather(data, places % size if size else places, axis=axis)


@operation("Expand")
def _expand(inputs: List[Any], attributes: Attributes) -> Any:
    data = tf.convert_to_tensor(inputs[0])
    return tf.broadcast_to(
        data, tf.broadcast_dynamic_shape(tf.shape(data), tf.cast(inputs[1], tf.int32))
    )


@operation("Shape")
def _shape(inputs: List[Any], attributes: Attributes) -> Any:
    data = tf.convert_to_tensor(inputs[0])
    return tf.shape(data, out_type=tf.int64)[attributes.get("start", 0) : attributes.get("end")]


@operation("ConstantOfShape")
def _constant_of_shape(inputs: List[Any], attributes: Attributes) -> Any:
    value = attributes.get("value", np.zeros(1, np.float32))
    return tf.fill(tf.cast(inputs[0], tf.int32), value.ravel()[0])


@operation("Cast")
def _cast(inputs: List[Any], attributes: Attributes) -> Any:
    if attributes["to"] not in _TYPES:
        raise UserError(f"a cast to the type {attributes['to']}")
    return tf.cast(inputs[0], _TYPES[attributes["to"]])


@operation("ArgMax")
def _arg_max(inputs: List[Any], attributes: Attributes) -> Any:
    axis = attributes.get("axis", 0)
    found = tf.argmax(inputs[0], axis)
    return tf.expand_dims(found, axis) if attributes.get("keepdims", 1) else found


@operation("Pad")
def _pad(inputs: List[Any], attributes: Attributes) -> Any:
    pads = attributes["pads"] if "pads" in attributes else numbers(inputs[1], "paddings")
    axes = numbers(inputs[3], "axes") if len(inputs) > 3 and inputs[3] is not None else None
    half = len(pads) // 2
    widths = [[0, 0] for _ in range(inputs[0].shape.ndims)]
    for place, axis in enumerate(axes if axes is not None else range(half)):
        widths[axis] = [int(pads[place]), int(pads[place + half])]
    mode = attributes.get("mode", "constant")
    if mode == "edge":
        raise UserError("a padding that repeats the edge")
    fill = known(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else None
    return tf.pad(
        inputs[0], widths, mode.upper(), constant_values=0.0 if fill is None else float(fill)
    )


@operation("Resize", "Upsample")
def _resize(inputs: List[Any], attributes: Attributes) -> Any:
    sizes = known(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else None
    scales = known(inputs[-1]) if sizes is None else None
    sides = inputs[0].shape.as_list()[2:]
    if sizes is not None:
        wanted = [int(size) for size in sizes[2:]]
    elif scales is not None and scales.size == 4 and None not in sides:
        wanted = [int(np.floor(side * scale)) for side, scale in zip(sides, scales[2:])]
    else:
        raise UserError("a resizing to a size that only a run tells")
    mode = attributes.get("mode", "nearest")
    places = attributes.get("coordinate_transformation_mode", "half_pixel")
    features = channels_last(inputs[0])
    if mode == "nearest":
        if any(w % s for w, s in zip(wanted, sides)):
            raise UserError("a resizing to the nearest value by no whole factor")
        made = tf.image.resize_nearest_neighbor(features, wanted)
    elif mode == "linear" and places in (*_HALF_PIXEL, "align_corners", "asymmetric"):
        made = tf.image.resize_bilinear(
            features,
            wanted,
            align_corners=places == "align_corners",
            half_pixel_centers=places in _HALF_PIXEL,
        )
    else:
        raise UserError(f"a resizing of mode {mode} {places}")
    return channels_first(made)
