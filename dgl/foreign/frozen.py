"""Frozen graphs, in which every weight is a constant: from a file, or as a copy of a graph in memory."""

import os
from functools import partial
from typing import Any, Callable, Dict, Iterable, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from dgl.errors import ArgumentError, UserError, first_few, quote, reason_of
from dgl.foreign.functions import inline_functions, is_call, resolve
from dgl.foreign.nodes import VARIABLES, Output, copy_of, remove_placement, source_of
from dgl.foreign.operations import check_no_chance, check_operations
from dgl.foreign.rewrite import for_every_processor, in_float32, is_for_some_processors, widened
from dgl.tf_compat import reference_kernels, tf
from dgl.utils.files import read_bounded
from dgl.utils.graph_walk import is_fixed, is_placeholder, node_name, reachable, upstream
from dgl.utils.types import GraphDef

from google.protobuf import text_format  # isort: skip
from google.protobuf.message import DecodeError  # isort: skip

_EXPECTED = "a frozen tf.GraphDef (.pb, or .pbtxt as text)"
_MOST_BYTES = 2**31 - 1  # the limit of protocol buffers
_MOST_TEXT_BYTES = 2**28
_TEXT_EXTENSIONS = (".pbtxt", ".prototxt", ".txt")
_HALF = ("float16", "bfloat16")
_PASS_ON = ("Identity", "Switch", "Merge")  # a variable's handle
_WITHOUT_OUTPUT = ("Assert", "Const", "NoOp")


class LoadedGraph(NamedTuple):
    """A classifier's graph with its weights as constants, so that no variable needs initialization.

    Attributes:
        graph: ``tf.Graph``.
        inputs: ordered name -> placeholder.
        outputs: ordered name -> tensor.
    """

    graph: Any
    inputs: Dict[str, Any]
    outputs: Dict[str, Any]

    def output(self, name: Optional[str] = None) -> Any:
        """An output by name, by default the only one, or the only one with numbers for each image.

        Raises:
            ValueError: there is no such output, or several and no name.
        """
        if name is not None and name in self.outputs:
            return self.outputs[name]
        whole = list(self.outputs.values())
        scores = [one for one in whole if one.dtype.is_floating and one.shape.ndims != 0]
        for found in (whole, scores) if name is None else ():
            if len(found) == 1:
                return found[0]
        told = f"{len(self.outputs)} of them" if name is None else f"no {quote(name)}"
        listed = (f"{key} ({one.dtype.name} {one.shape})" for key, one in self.outputs.items())
        raise ArgumentError(f"output: {told}; choose one of {first_few(listed, 10) or 'none'}")


def load_frozen(
    path: str, outputs: Optional[Sequence[str]] = None, allow: Iterable[str] = ()
) -> LoadedGraph:
    """Load a frozen graph.

    Args:
        path: file with a ``tf.GraphDef``: text if it ends in ``.pbtxt``, else binary.
        outputs: names of tensors to keep (``"logits"`` means ``"logits:0"``), with everything they are
            computed from. By default the whole graph is kept, and its outputs are the tensors that
            depend on a placeholder and are read by no other node.
        allow: types of operations allowed in addition to :data:`dgl.foreign.operations.COMPUTES`, for
            files that are trusted.

    Returns:
        :class:`LoadedGraph`; its inputs are the placeholders, by their operations' names.

    Raises:
        UserError: the file is missing, damaged, too large or not a frozen graph, or has an operation
            that is refused.
    """
    path = str(path)
    whole = _read(path)
    flat, replaced = inline_functions(whole, path)
    if outputs is None:
        names = _unread(whole, replaced)
    else:
        names = {name: resolve(name, replaced) for name in outputs}
        flat = prune(flat, names.values())
    graph = imported(flat, path, {}, partial(check_operations, allow=allow))
    inputs = {op.name: op.outputs[0] for op in graph.get_operations() if is_placeholder(op)}
    found = named_tensors(graph, names, path)
    if outputs is None and inputs:
        found = {name: tensor for name, tensor in found.items() if not is_fixed(tensor)}
    return LoadedGraph(graph, inputs, found)


def _read(path: str) -> GraphDef:
    is_text = os.path.splitext(path)[1].lower() in _TEXT_EXTENSIONS
    data = read_bounded(path, _MOST_TEXT_BYTES if is_text else _MOST_BYTES, _EXPECTED)
    if data is None:
        raise UserError(f"{path}: no such file; expected {_EXPECTED}")
    graph_def = tf.GraphDef()
    try:
        if is_text:
            text_format.Parse(data.decode("utf-8"), graph_def)
        else:
            graph_def.ParseFromString(data)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"{path}: damaged or not a graph ({reason_of(error)}); expected {_EXPECTED}"
        ) from None
    if not graph_def.node or not all(node.name and node.op for node in graph_def.node):
        raise UserError(f"{path}: contains no graph; expected {_EXPECTED}")
    return graph_def


def _unread(graph_def: GraphDef, replaced: Mapping[Output, Output]) -> Dict[str, str]:
    """Key -> name, after inlining, of the outputs of nodes that no other node reads."""
    read = {node_name(name) for node in graph_def.node for name in node.input}
    found = {
        node.name: node.name + ":0"
        for node in graph_def.node
        if node.name not in read and node.op not in _WITHOUT_OUTPUT
    }
    for name, index in sorted(replaced):
        if name in found:
            tensor = resolve(f"{name}:{index}", replaced)
            found[f"{name}:{index}" if index else name] = tensor
    return found


def prune(graph_def: GraphDef, names: Iterable[str]) -> GraphDef:
    """The part of a graph that some tensors are computed from, including control inputs."""
    needed = reachable(graph_def, names)
    pruned = tf.GraphDef()
    pruned.versions.CopyFrom(graph_def.versions)
    pruned.node.extend(node for node in graph_def.node if node.name in needed)
    return pruned


def imported(
    graph_def: GraphDef,
    path: str,
    values: Mapping[str, np.ndarray],
    check: Callable[[GraphDef, str], None] = check_no_chance,
) -> Any:
    """A graph without variables, in float32 and with operations for every processor.

    ``graph_def`` has no functions, and is changed. ``values`` has the variables' by node, and those of what
    is no node; each becomes a separate constant, because a graph message holds at most 2 GiB. ``check``
    refuses what may not be in it; :func:`~dgl.foreign.operations.check_operations` is for strangers' files.

    Raises:
        UserError: it is refused, or TensorFlow rejects it.
    """
    _remove_variables(graph_def, values)
    remove_placement(graph_def.node)
    check(graph_def, path)
    in_float32(graph_def)
    arrays = {name: widened(array) for name, array in values.items()}
    graph = _imported(graph_def, path, arrays)
    return _imported(graph_def, path, arrays) if for_every_processor(graph_def, graph) else graph


def _imported(graph_def: GraphDef, path: str, values: Mapping[str, np.ndarray]) -> Any:
    used = {node_name(name) for node in graph_def.node for name in node.input}
    with tf.Graph().as_default() as graph:
        try:
            constants = {
                name + ":0": tf.constant(value, name=name)
                for name, value in values.items()
                if name in used
            }
            tf.import_graph_def(graph_def, constants, name="")
        except (ValueError, TypeError, LookupError, RuntimeError, tf.errors.OpError) as error:
            raise UserError(
                f"{path}: TensorFlow {tf.VERSION} rejects the graph ({reason_of(error)})"
            ) from None
    return graph


def _remove_variables(graph_def: GraphDef, values: Mapping[str, np.ndarray]) -> None:
    """Remove what has a value, in place; its readers become identities of an input of its name."""
    types = {name: tf.as_dtype(value.dtype).as_datatype_enum for name, value in values.items()}
    nodes = {node.name: node for node in graph_def.node}
    kept = [copy_of(node) for node in graph_def.node if node.name not in values]
    for node in kept:
        is_read = node.op == "ReadVariableOp"
        is_handle = node.op in _PASS_ON and node.attr["T"].type == tf.resource.as_datatype_enum
        if not (is_read or is_handle) or not node.input:
            continue
        variable, _ = source_of(nodes, node.input[0], _PASS_ON)
        if variable not in types:
            continue
        if is_read:
            node.op = "Identity"
            node.attr.clear()
        node.attr["T"].type = types[variable]
    del graph_def.node[:]
    graph_def.node.extend(kept)


def named_tensors(graph: Any, names: Mapping[str, str], path: str) -> Dict[str, Any]:
    """Key -> tensor, given key -> name of the tensor in ``graph``.

    Raises:
        UserError: there is no such tensor.
    """
    found = {}
    for key, name in names.items():
        try:
            found[key] = graph.get_tensor_by_name(name)
        except (KeyError, ValueError):
            raise UserError(f"{path}: there is no tensor {quote(name)}") from None
    return found


def needs_copy(tensor: Any) -> bool:
    """Whether maps of what a tensor is computed from need another graph.

    That is so for calls of functions, branches, loops, half precision and operations that this processor
    does not have.
    """
    has_few_kernels = reference_kernels() or tf.VERSION.startswith("1.")
    functions = {one.signature.name for one in tensor.graph.as_graph_def().library.function}
    return any(
        op.type in functions
        or is_call(op.type)
        or any(output.dtype.base_dtype.name in _HALF for output in op.outputs)
        or (has_few_kernels and is_for_some_processors(op))
        for op in upstream(tensor)
    )


def copied(tensors: Mapping[str, Any], session: Optional[Any], name: str) -> Dict[str, Any]:
    """Copy the part of a graph that some tensors are computed from, so that maps do not change it.

    ``session`` has the values of its variables; ``name`` is the graph's in messages. Returns key -> tensor
    of the copy, in float32 where it was of half precision.

    Raises:
        UserError: a loop or a random operation that cannot be inlined.
        ValueError: variables without a session.
    """
    names = {key: tensor.name for key, tensor in tensors.items()}
    graph_def = next(iter(tensors.values())).graph.as_graph_def()
    return without_functions(graph_def, names, variable_values(tensors.values(), session), name)


def without_functions(
    graph_def: GraphDef, names: Mapping[str, str], values: Mapping[str, np.ndarray], name: str
) -> Dict[str, Any]:
    """Key -> tensor, of a new graph without functions and variables, whose ``values`` it has by node.

    ``names`` has the tensors' names in ``graph_def``, ``name`` is the graph's own in messages.
    """
    flat, replaced = inline_functions(graph_def, name, values)
    names = {key: resolve(tensor, replaced) for key, tensor in names.items()}
    graph = imported(prune(flat, names.values()), name, values)
    return named_tensors(graph, names, name)


def variable_values(tensors: Iterable[Any], session: Optional[Any]) -> Dict[str, np.ndarray]:
    """Node -> value of the variables that tensors are computed from.

    Raises:
        ValueError: variables without a session.
    """
    handles = {op for tensor in tensors for op in upstream(tensor) if op.type in VARIABLES}
    if not handles:
        return {}
    if session is None:
        raise ArgumentError("the graph has variables; expected the session with their values")
    reads = {op.name: _reading(op) for op in handles}
    return {name: np.asarray(value) for name, value in session.run(reads).items()}


def _reading(handle: Any) -> Any:
    """A tensor with the value of a variable; an operation that reads a handle is there as a rule."""
    if handle.type != "VarHandleOp":
        return handle.outputs[0]
    for reader in handle.outputs[0].consumers():
        # One that waits for others may read after an update, such as BatchNorm's, that needs an image.
        if reader.type == "ReadVariableOp" and not reader.control_inputs:
            return reader.outputs[0]
    with handle.graph.as_default(), tf.control_dependencies(None):
        return tf.raw_ops.ReadVariableOp(resource=handle.outputs[0], dtype=handle.get_attr("dtype"))
