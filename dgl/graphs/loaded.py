"""From a graph's message to a graph: what is read of it, and what every loader gives back."""

import os
from collections import OrderedDict
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Optional

import numpy as np

from dgl.errors import UserError
from dgl.inference.graph_parts import node_name
from dgl.tf_compat import tf
from dgl.weights.foreign import first_line, quoted


class LoadedGraph(NamedTuple):
    """A classifier's graph, its weights in it as constants: nothing is left to initialise.

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
        raise UserError("{}: no such file; expected {}".format(path, expected))
    if os.path.getsize(path) > most:
        raise UserError("{}: larger than {} MiB; expected {}".format(path, most >> 20, expected))
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise UserError(
            "{}: cannot be read ({}); expected {}".format(path, error.strerror or error, expected)
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
    """Make a graph of a message that :func:`~dgl.graphs.operations.check_operations` let in.

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
                "{}: not a graph that TensorFlow {} takes ({})".format(
                    path, tf.VERSION, quoted(first_line(error))
                )
            ) from None
    return graph


def named_tensors(graph: Any, names: Mapping[str, str], path: str) -> Dict[str, Any]:
    """Tensors by their names in a graph.

    Raises:
        UserError: one that is not there.
    """
    found = OrderedDict()
    for key, name in names.items():
        try:
            found[key] = graph.get_tensor_by_name(name)
        except (KeyError, ValueError):
            raise UserError("{}: there is no tensor {}".format(path, quoted(name))) from None
    return found
