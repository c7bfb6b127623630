"""Read an ONNX file, as `torch.onnx.export` writes it, into a TensorFlow graph: the way from PyTorch.

The package `onnx` reads the file; the operations are written here (:mod:`dgl.foreign.onnx_operations`),
because no kept converter goes with the TensorFlow that maps are computed with.
"""

import os
import re
from typing import Any, Dict, List, Optional

import numpy as np

from dgl.errors import UserError, first_few, quote, reason_of
from dgl.foreign.frozen import LoadedGraph, imported, named_tensors
from dgl.foreign.onnx_operations import OPERATIONS, translate
from dgl.foreign.rewrite import widened
from dgl.tf_compat import tf

_MOST_BYTES = 2**31 - 1


def load_onnx(path: str, image_size: Optional[int] = None) -> LoadedGraph:
    """Load an ONNX file.

    Args:
        path: str. Weights that lie in files beside it are read from its folder.
        image_size: side of the input in pixels where the model takes any.

    Returns:
        :class:`~dgl.foreign.frozen.LoadedGraph`; channels come first.

    Raises:
        UserError: the file is missing or damaged, `onnx` is not installed, or the model has an operation
            that is not translated; the message names it.
    """
    try:
        import onnx
    except ImportError:
        raise UserError(
            f"{path}: the package onnx reads it; pip install 'dgl-localization[onnx]' or pip install onnx"
        ) from None
    if not os.path.isfile(path) or os.path.getsize(path) > _MOST_BYTES:
        raise UserError(f"{path}: no such file, or one of more than 2 GiB; expected an ONNX model")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # of protobuf, of the checker, of files beside it
        raise UserError(f"{path}: damaged or no ONNX model ({reason_of(error)})") from None
    lacking = sorted({node.op_type for node in model.graph.node} - set(OPERATIONS) - {"Constant"})
    if lacking:
        raise UserError(
            f"{path}: operations that are not translated: {first_few(lacking, 10)}; export the network for "
            "inference (model.eval()), without what comes after its scores"
        )
    with tf.Graph().as_default() as built:
        inputs, outputs = _build(model.graph, path, image_size)
    graph = imported(built.as_graph_def(), path, {})
    return LoadedGraph(
        graph, named_tensors(graph, inputs, path), named_tensors(graph, outputs, path)
    )


def _build(onnx_graph: Any, path: str, image_size: Optional[int]) -> Any:
    """Build the operations in the present graph; names of the tensors of its (inputs, outputs) by name."""
    from onnx import numpy_helper

    values: Dict[str, Any] = {
        stored.name: widened(numpy_helper.to_array(stored)) for stored in onnx_graph.initializer
    }
    fed = [given for given in onnx_graph.input if given.name not in values]
    values.update({given.name: _placeholder(given, image_size) for given in fed})
    inputs = {given.name: values[given.name].name for given in fed}
    for node in onnx_graph.node:
        attributes = {one.name: _attribute(one) for one in node.attribute}
        read = [values[name] if name else None for name in node.input]
        try:
            if node.op_type == "Constant":
                made: Any = widened(np.asarray(next(iter(attributes.values()))))
            else:
                own_name = node.name or (node.output[0] if node.output else node.op_type)
                with tf.name_scope(_clean(own_name)):
                    made = translate(node.op_type, read, attributes)
        except (UserError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            what = f"{node.op_type} {quote(node.name)}"
            raise UserError(f"{path}: {what} is not translated ({reason_of(error)})") from None
        several = made if isinstance(made, (list, tuple)) else [made]
        values.update(zip(node.output, several))
    return inputs, {
        one.name: tf.convert_to_tensor(values[one.name]).name for one in onnx_graph.output
    }


def _placeholder(given: Any, image_size: Optional[int]) -> Any:
    from onnx import helper

    kind = tf.as_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)))
    sizes: List[Optional[int]] = [dim.dim_value or None for dim in given.type.tensor_type.shape.dim]
    if len(sizes) == 4:
        # Any number of images: an exporter writes down the number of its example.
        sizes[0] = 1 if sizes[0] == 1 else None
        sizes[2:] = [side or image_size or 224 for side in sizes[2:]]
    kind = tf.float32 if kind in (tf.float16, tf.bfloat16) else kind
    return tf.placeholder(kind, sizes, _clean(given.name))


def _attribute(attribute: Any) -> Any:
    """The value of an attribute: a number, a text, a list or an array."""
    from onnx import helper, numpy_helper

    value = helper.get_attribute_value(attribute)
    if attribute.type == attribute.TENSOR:
        return widened(numpy_helper.to_array(value))
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _clean(name: str) -> str:
    """A name without what TensorFlow does not allow in names."""
    cleaned = re.sub(r"[^A-Za-z0-9_.\-/]", "_", name).strip("/")
    return cleaned if re.match(r"[A-Za-z0-9.]", cleaned) else "node" + cleaned
