"""Frozen graphs: a ``tf.GraphDef`` in a file, every weight a constant in it."""

import os
from collections import OrderedDict
from typing import Iterable, Optional, Sequence

from dgl.errors import UserError
from dgl.graphs.functions import follow, inline_functions, tensor_of
from dgl.graphs.loaded import (
    LoadedGraph,
    import_graph,
    make_plain,
    named_tensors,
    prune,
    read_bounded,
)
from dgl.graphs.operations import check_operations
from dgl.graphs.walk import is_fixed, is_placeholder
from dgl.inference.graph_parts import node_name
from dgl.tf_compat import tf
from dgl.weights.foreign import first_line, quoted

from google.protobuf import text_format  # isort: skip
from google.protobuf.message import DecodeError  # isort: skip

_EXPECTED = "a frozen tf.GraphDef (.pb, or .pbtxt as text)"
_MOST_BYTES = 2**31 - 1  # where a message ends
_MOST_TEXT_BYTES = 2**28
_TEXT = (".pbtxt", ".prototxt", ".txt")
_NO_OUTPUTS = ("Assert", "Const", "NoOp")


def load_frozen(
    path: str, outputs: Optional[Sequence[str]] = None, allow: Iterable[str] = ()
) -> LoadedGraph:
    """Read a frozen graph.

    Args:
        path: of a ``tf.GraphDef``, binary, or text by its extension ``.pbtxt``.
        outputs: names of tensors (``"logits"`` is ``"logits:0"``) to keep, with all that they are
            computed from; by default everything, and the outputs are the tensors that depend on a
            placeholder and that nothing reads.
        allow: types of operations to let in beyond those that only compute
            (:data:`dgl.graphs.operations.COMPUTES`), where the file is trusted.

    Returns:
        :class:`~dgl.graphs.loaded.LoadedGraph`; its inputs are the placeholders, all by their
        operations' names.

    Raises:
        UserError: missing, damaged, of another kind, not frozen, too large, or with an operation that is
            refused.
    """
    path = str(path)
    flat, replaced = inline_functions(_read(path), path)
    if outputs is not None:
        wanted = [follow(tensor_of(name), replaced) for name in outputs]
        missing = sorted({name for name, _ in wanted} - {node.name for node in flat.node})
        if missing:
            raise UserError("{}: there is no operation {}".format(path, quoted(missing[0])))
        flat = prune(flat, [name for name, _ in wanted])
        names = OrderedDict(zip(outputs, ("{}:{}".format(*tensor) for tensor in wanted)))
    else:
        names = _unread(flat)
    make_plain(flat)
    check_operations(flat, path, allow)
    graph = import_graph(flat, path)
    inputs = OrderedDict(
        (op.name, op.outputs[0]) for op in graph.get_operations() if is_placeholder(op)
    )
    found = named_tensors(graph, names, path)
    if outputs is None and inputs:
        found = OrderedDict((k, tensor) for k, tensor in found.items() if not is_fixed(tensor))
    return LoadedGraph(graph, inputs, found)


def _unread(graph_def):
    """Name -> tensor name of the first output of what no other node reads."""
    read = {node_name(name) for node in graph_def.node for name in node.input}
    return OrderedDict(
        (node.name, node.name + ":0")
        for node in graph_def.node
        if node.name not in read and node.op not in _NO_OUTPUTS
    )


def _read(path):
    if os.path.isdir(path):
        raise UserError("{}: a folder; expected {}".format(path, _EXPECTED))
    is_text = os.path.splitext(path)[1].lower() in _TEXT
    data = read_bounded(path, _MOST_TEXT_BYTES if is_text else _MOST_BYTES, _EXPECTED)
    graph_def = tf.GraphDef()
    try:
        if is_text:
            text_format.Parse(data.decode("utf-8"), graph_def)
        else:
            graph_def.ParseFromString(data)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            "{}: damaged or not a graph ({}); expected {}".format(
                path, quoted(first_line(error)), _EXPECTED
            )
        ) from None
    if not graph_def.node or not all(node.name and node.op for node in graph_def.node):
        raise UserError("{}: holds no graph; expected {}".format(path, _EXPECTED))
    return graph_def
