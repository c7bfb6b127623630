"""The variables of a SavedModel replaced by their values.

Which entry of the checkpoint belongs to which variable is written in the operations that would restore
it: ``RestoreV2(names) -> Assign(variable, value)``. They are read here, not run. So a variable is found
whether its maker was TF 1, with names for keys, or TF 2, with places in an object graph.
"""

from typing import Any, Dict

import numpy as np

from dgl.errors import UserError
from dgl.graphs.functions import tensor_of
from dgl.tf_compat import tf
from dgl.weights.foreign import quoted

_MAKERS = ("VarHandleOp", "VariableV2", "Variable")
_PASSES = ("Identity", "Switch", "Merge")


def restored_names(graph_def: Any) -> Dict[str, str]:
    """Variable's node -> its name in the checkpoint, as the graph would restore it.

    Args:
        graph_def: ``tf.GraphDef`` without functions, with the operations that restore.
    """
    nodes = {node.name: node for node in graph_def.node}
    found = {}
    for node in graph_def.node:
        if node.op not in ("Assign", "AssignVariableOp") or len(node.input) < 2:
            continue
        variable, _ = _source(nodes, node.input[0])
        restore, index = _source(nodes, node.input[1])
        if variable is None or restore is None or restore.op != "RestoreV2":
            continue
        names = _texts(nodes, restore.input[1]) if len(restore.input) > 1 else []
        slices = _texts(nodes, restore.input[2]) if len(restore.input) > 2 else []
        if index < len(names) and not (index < len(slices) and slices[index]):
            found[variable.name] = names[index]
    return found


def _source(nodes, read):
    """(node, output) that a tensor comes from, behind identities; (None, 0) where there is none."""
    passed = set()
    name, index = tensor_of(read)
    while name in nodes and nodes[name].op == "Identity" and name not in passed:
        passed.add(name)
        name, index = tensor_of(nodes[name].input[0]) if nodes[name].input else ("", 0)
    return nodes.get(name), index


def _texts(nodes, read):
    node, _ = _source(nodes, read)
    if node is None or node.op != "Const":
        return []
    return [text.decode("utf-8", "replace") for text in node.attr["value"].tensor.string_val]


def freeze(
    graph_def: Any, names: Dict[str, str], checkpoint: Any, path: str
) -> Dict[str, np.ndarray]:
    """Take every variable out of a graph; what read it reads a node of the same name.

    Args:
        graph_def: ``tf.GraphDef`` without functions, changed in place.
        names: variable's node -> name in the checkpoint; a variable that is not in it goes by its own.
        checkpoint: :class:`~dgl.weights.checkpoint.Checkpoint`, or ``None`` where there is no file.
        path: what an error calls the model.

    Returns:
        variable's node -> value.

    Raises:
        UserError: a variable without a value.
    """
    types, values = {}, {}
    for node in graph_def.node:
        if node.op not in _MAKERS:
            continue
        name = names.get(node.name, node.name)
        if checkpoint is None or name not in checkpoint.shapes:
            raise UserError(
                "{}: variable {} is not in variables/; expected a SavedModel with all of them".format(
                    path, quoted(node.name)
                )
            )
        values[node.name] = checkpoint.read(name)
        types[node.name] = node.attr["dtype"].type
    kept = [node for node in graph_def.node if node.name not in values]
    nodes = {node.name: node for node in graph_def.node}
    for node in kept:
        is_read = node.op == "ReadVariableOp"
        if is_read or (node.op in _PASSES and node.attr["T"].type == tf.resource.as_datatype_enum):
            made_of = _variable_behind(nodes, node, types)
            if made_of is None:
                continue
            if is_read:
                node.op = "Identity"
                node.attr.clear()
            node.attr["T"].type = types[made_of]
    pruned = [tf.NodeDef() for _ in kept]
    for copy, node in zip(pruned, kept):
        copy.CopyFrom(node)
    del graph_def.node[:]
    graph_def.node.extend(pruned)
    return values


def _variable_behind(nodes, node, variables):
    passed = set()
    while node is not None and node.input and node.name not in passed:
        passed.add(node.name)
        name, _ = tensor_of(node.input[0])
        if name in variables:
            return name
        node = nodes.get(name)
        if node is not None and node.op not in _PASSES:
            return None
    return None
