"""SavedModels of TF 1 and TF 2 and of Keras: read as data, variables frozen, functions inlined.

The variables of a SavedModel replaced by their values.

Which entry of the checkpoint belongs to which variable is written in the operations that would restore
it: ``RestoreV2(names) -> Assign(variable, value)``. They are read here, not run. So a variable is found
whether its maker was TF 1, with names for keys, or TF 2, with places in an object graph.
"""

import os
from typing import Any, Dict, Iterable, Optional

import numpy as np

from dgl.errors import UserError
from dgl.foreign.frozen import (
    LoadedGraph,
    import_graph,
    make_plain,
    named_tensors,
    prune,
    read_bounded,
)
from dgl.foreign.functions import follow, inline_functions, tensor_of
from dgl.foreign.operations import check_operations
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint
from dgl.weights.formats.registry import quoted

from google.protobuf.message import DecodeError  # isort: skip

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
                f"{path}: variable {quoted(node.name)} is not in variables/; expected a SavedModel with all of them"
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


# SavedModels of TF 1 and TF 2, and of Keras: read as data, frozen, their functions inlined.

SERVE = "serve"
DEFAULT_SIGNATURE = "serving_default"
_EXPECTED = "the saved_model.pb of a SavedModel's folder"
_MOST_BYTES = 2**31 - 1
_META_GRAPHS = 2  # number of the field in TensorFlow's message SavedModel


def load_saved_model(
    path: str,
    signature: Optional[str] = None,
    outputs: Optional[Iterable[str]] = None,
    tag: str = SERVE,
    allow: Iterable[str] = (),
) -> LoadedGraph:
    """Read a SavedModel as a graph for inference.

    Args:
        path: the folder with ``saved_model.pb`` and ``variables/``.
        signature: by default ``"serving_default"``, or the only one.
        outputs: those of the signature to keep, by name; by default all.
        tag: of the graph, where there are several.
        allow: as for :func:`~dgl.foreign.frozen.load_frozen`.

    Returns:
        :class:`~dgl.foreign.frozen.LoadedGraph` with the signature's inputs and outputs.

    Raises:
        UserError: missing, damaged, without such a signature, a variable without a value, control flow
            that cannot be inlined, or an operation that is refused.
    """
    path = str(path)
    meta_graph = _meta_graph(path, tag)
    chosen = _signature(meta_graph, signature, path)
    flat, replaced = inline_functions(meta_graph.graph_def, path)
    inputs = {key: chosen.inputs[key].name for key in sorted(chosen.inputs)}
    names = {key: chosen.outputs[key].name for key in sorted(chosen.outputs)}
    if outputs is not None:
        wanted = list(outputs)
        for key in wanted:
            if key not in names:
                raise UserError(f"{path}: no output {quoted(key)}; choose of {_listed(names)}")
        names = {key: names[key] for key in wanted}
    for key, name in names.items():
        try:
            names[key] = "{}:{}".format(*follow(tensor_of(name), replaced))
        except ValueError as error:
            raise UserError(f"{path}: damaged functions ({error})") from None
    restored = restored_names(flat)
    roots = [tensor_of(name)[0] for name in list(names.values()) + list(inputs.values())]
    flat = prune(flat, roots)
    values = freeze(flat, restored, _checkpoint(path), path)
    make_plain(flat)
    check_operations(flat, path, allow)
    graph = import_graph(flat, path, values)
    return LoadedGraph(graph, named_tensors(graph, inputs, path), named_tensors(graph, names, path))


def _checkpoint(path):
    prefix = os.path.join(path, "variables", "variables")
    return open_checkpoint(prefix) if os.path.isfile(prefix + ".index") else None


def _meta_graph(path, tag):
    if not os.path.isdir(path):
        raise UserError(f"{path}: expected a SavedModel's folder")
    file = os.path.join(path, "saved_model.pb")
    data = read_bounded(file, _MOST_BYTES, _EXPECTED)
    found = []
    try:
        for begin, end in _fields(data, _META_GRAPHS):
            meta_graph = tf.MetaGraphDef()
            meta_graph.ParseFromString(data[begin:end])
            found.append(meta_graph)
    except (DecodeError, IndexError, ValueError) as error:
        raise UserError(f"{file}: damaged ({error}); expected {_EXPECTED}") from None
    tagged = [meta_graph for meta_graph in found if tag in meta_graph.meta_info_def.tags]
    if len(tagged) == 1 or len(found) == 1:
        return (tagged or found)[0]
    tags = sorted({",".join(meta_graph.meta_info_def.tags) for meta_graph in found})
    raise UserError(f"{file}: expected one graph tagged {tag}, found {_listed(tags)}")


def _listed(names):
    return quoted(", ".join(names) or "none")


def _signature(meta_graph, name, path):
    public = [key for key in sorted(meta_graph.signature_def) if not key.startswith("__")]
    if name is None:
        name = public[0] if len(public) == 1 else DEFAULT_SIGNATURE
    if name not in public:
        raise UserError(f"{path}: no signature {quoted(name)}; choose of {_listed(public)}")
    chosen = meta_graph.signature_def[name]
    for key, info in list(chosen.inputs.items()) + list(chosen.outputs.items()):
        if not info.name:
            raise UserError(f"{path}: {quoted(key)} of signature {quoted(name)} is no plain tensor")
    if not chosen.outputs:
        raise UserError(f"{path}: signature {quoted(name)} has no outputs")
    return chosen


def _fields(data, wanted):
    """(begin, end) of every field ``wanted`` of a message, by protocol buffers' encoding.

    TensorFlow has no public name for the message SavedModel; that of its only field that matters does.
    """
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        kind = key & 7
        if kind == 0:
            _, place = _number(data, place)
        elif kind == 2:
            length, place = _number(data, place)
            if place + length > len(data):
                raise ValueError("ends early")
            if key >> 3 == wanted:
                yield place, place + length
            place += length
        else:
            raise ValueError("not such a message")


def _number(data, place):
    """A number of 7 bits a byte, least significant first, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("not such a message")
