"""Frozen graphs: read, check, prune and import a `tf.GraphDef` whose weights are constants.

From a graph's message to a graph: what is read of it, and what every loader gives back.
"""

import os
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from dgl.errors import UserError, first_line
from dgl.foreign.functions import follow, inline_functions, tensor_of
from dgl.foreign.operations import check_operations
from dgl.tf_compat import tf
from dgl.utils.graph_walk import is_fixed, is_placeholder, node_name
from dgl.weights.formats.registry import quoted

from google.protobuf import text_format  # isort: skip
from google.protobuf.message import DecodeError  # isort: skip


class LoadedGraph(NamedTuple):
    """A classifier's graph, its weights in it as constants: nothing is left to initialize.

    Attributes:
        graph: ``tf.Graph``.
        inputs: ordered name -> placeholder.
        outputs: ordered name -> tensor.
    """

    graph: Any
    inputs: Dict[str, Any]
    outputs: Dict[str, Any]

    def output(self, name: Optional[str] = None) -> Any:
        """An output by its name; by default the only one.

        Raises:
            ValueError: no such output, or several and no name.
        """
        if name is None and len(self.outputs) == 1:
            return next(iter(self.outputs.values()))
        if name is None or name not in self.outputs:
            raise ValueError(
                "output {!r}: choose of {}".format(name, ", ".join(self.outputs) or "none")
            )
        return self.outputs[name]


def read_bounded(path: str, most: int, expected: str) -> bytes:
    """A file's bytes.

    Raises:
        UserError: missing, not a file, unreadable, or larger than ``most`` bytes.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; expected {expected}")
    if os.path.getsize(path) > most:
        raise UserError(f"{path}: larger than {most >> 20} MiB; expected {expected}")
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); expected {expected}"
        ) from None


def prune(graph_def: Any, roots: Iterable[str]) -> Any:
    """The part of a graph that the nodes ``roots`` are computed from, control inputs included.

    What is read and not there stays missing; the import says so.
    """
    nodes = {node.name: node for node in graph_def.node}
    pending, reached = [name for name in roots if name in nodes], set()
    while pending:
        name = pending.pop()
        if name in reached:
            continue
        reached.add(name)
        pending.extend(read for read in map(node_name, nodes[name].input) if read in nodes)
    pruned = tf.GraphDef()
    pruned.versions.CopyFrom(graph_def.versions)
    pruned.node.extend(node for node in graph_def.node if node.name in reached)
    return pruned


def make_plain(graph_def: Any) -> None:
    """Take away, in place, where nodes were to run and all that their makers noted on them.

    A noted gradient (``_gradient_op_type``) goes by a name that only the maker's process knew; without
    it, an operation has TensorFlow's own.
    """
    for node in graph_def.node:
        node.device = ""
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]


def import_graph(
    graph_def: Any, path: str, values: Optional[Mapping[str, np.ndarray]] = None
) -> Any:
    """Make a graph of a message that :func:`~dgl.foreign.operations.check_operations` let in.

    Args:
        graph_def: ``tf.GraphDef``.
        path: what an error calls it.
        values: name -> array, nodes that the message refers to and does not hold. Each becomes a
            constant by itself, because a message ends at 2 GiB.

    Returns:
        ``tf.Graph``.

    Raises:
        UserError: TensorFlow does not take it.
    """
    used = {node_name(name) for node in graph_def.node for name in node.input}
    with tf.Graph().as_default() as graph:
        try:
            constants = {
                name + ":0": tf.constant(value, name=name)
                for name, value in (values or {}).items()
                if name in used
            }
            tf.import_graph_def(graph_def, constants, name="")
        except (ValueError, TypeError, LookupError, RuntimeError, tf.errors.OpError) as error:
            raise UserError(
                f"{path}: not a graph that TensorFlow {tf.VERSION} takes ({quoted(first_line(error))})"
            ) from None
    return graph


def named_tensors(graph: Any, names: Mapping[str, str], path: str) -> Dict[str, Any]:
    """Tensors by their names in a graph.

    Raises:
        UserError: one that is not there.
    """
    found = {}
    for key, name in names.items():
        try:
            found[key] = graph.get_tensor_by_name(name)
        except (KeyError, ValueError):
            raise UserError(f"{path}: there is no tensor {quoted(name)}") from None
    return found


# Frozen graphs: a ``tf.GraphDef`` in a file, every weight a constant in it.

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
            (:data:`dgl.foreign.operations.COMPUTES`), where the file is trusted.

    Returns:
        :class:`~dgl.foreign.frozen.LoadedGraph`; its inputs are the placeholders, all by their
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
            raise UserError(f"{path}: there is no operation {quoted(missing[0])}")
        flat = prune(flat, [name for name, _ in wanted])
        names = dict(zip(outputs, ("{}:{}".format(*tensor) for tensor in wanted)))
    else:
        names = _unread(flat)
    make_plain(flat)
    check_operations(flat, path, allow)
    graph = import_graph(flat, path)
    inputs = {op.name: op.outputs[0] for op in graph.get_operations() if is_placeholder(op)}
    found = named_tensors(graph, names, path)
    if outputs is None and inputs:
        found = {k: tensor for k, tensor in found.items() if not is_fixed(tensor)}
    return LoadedGraph(graph, inputs, found)


def _unread(graph_def):
    """Name -> tensor name of the first output of what no other node reads."""
    read = {node_name(name) for node in graph_def.node for name in node.input}
    return {
        node.name: node.name + ":0"
        for node in graph_def.node
        if node.name not in read and node.op not in _NO_OUTPUTS
    }


def _read(path):
    if os.path.isdir(path):
        raise UserError(f"{path}: a folder; expected {_EXPECTED}")
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
            f"{path}: damaged or not a graph ({quoted(first_line(error))}); expected {_EXPECTED}"
        ) from None
    if not graph_def.node or not all(node.name and node.op for node in graph_def.node):
        raise UserError(f"{path}: holds no graph; expected {_EXPECTED}")
    return graph_def
