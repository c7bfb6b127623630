"""Load SavedModels of TensorFlow 1 and 2 and of Keras, with variables frozen and functions inlined.

Nothing in the model is run. Which entry of the checkpoint belongs to which variable is read from the
operations that would restore it, ``RestoreV2(names) -> Assign(variable, value)``, whether entries are
named by variable, as by TensorFlow 1, or by position in an object graph, as by TensorFlow 2.
"""

import os
from functools import partial
from typing import Any, Dict, Iterable, List, Mapping, Optional

import numpy as np

from dgl.errors import UserError, first_few, quote
from dgl.foreign.frozen import LoadedGraph, imported, named_tensors, prune
from dgl.foreign.functions import inline_functions, resolve
from dgl.foreign.nodes import VARIABLES, NodeDef, source_of
from dgl.foreign.operations import check_operations
from dgl.tf_compat import saved_model_message
from dgl.utils.files import read_bounded
from dgl.utils.types import GraphDef
from dgl.weights import open_checkpoint

from google.protobuf.message import DecodeError  # isort: skip

_EXPECTED = "the saved_model.pb of a SavedModel's folder"
_MOST_BYTES = 2**31 - 1


def load_saved_model(
    path: str,
    signature: Optional[str] = None,
    outputs: Optional[Iterable[str]] = None,
    tag: str = "serve",
    allow: Iterable[str] = (),
) -> LoadedGraph:
    """Load a SavedModel as a graph for inference.

    Args:
        path: the folder with ``saved_model.pb`` and ``variables/``.
        signature: by default ``"serving_default"``, or the only one.
        outputs: names of the signature's outputs to keep; by default all.
        tag: which graph to load, if there are several.
        allow: as for :func:`~dgl.foreign.frozen.load_frozen`.

    Returns:
        :class:`~dgl.foreign.frozen.LoadedGraph` with the signature's inputs and outputs.

    Raises:
        UserError: the model is missing or damaged, has no such signature, a variable without a value,
            control flow that cannot be inlined, or an operation that is refused.
    """
    path = str(path)
    meta_graph = _meta_graph(path, tag)
    chosen = _signature(meta_graph, signature, path)
    flat, replaced = inline_functions(meta_graph.graph_def, path)
    inputs = {key: chosen.inputs[key].name for key in sorted(chosen.inputs)}
    names = {key: resolve(chosen.outputs[key].name, replaced) for key in sorted(chosen.outputs)}
    wanted = names if outputs is None else list(outputs)
    for key in wanted:
        if key not in names:
            raise UserError(f"{path}: no output {quote(key)}; choose one of {_listed(names)}")
    names = {key: names[key] for key in wanted}
    restored = _restored_names(flat)
    flat = prune(flat, [*names.values(), *inputs.values()])
    values = _variables(flat, restored, path)
    graph = imported(flat, path, values, partial(check_operations, allow=allow))
    return LoadedGraph(graph, named_tensors(graph, inputs, path), named_tensors(graph, names, path))


def _meta_graph(path: str, tag: str) -> Any:
    """The ``tf.MetaGraphDef`` with a tag, or the only one."""
    if not os.path.isdir(path):
        raise UserError(f"{path}: expected a SavedModel's folder")
    file = os.path.join(path, "saved_model.pb")
    data = read_bounded(file, _MOST_BYTES, _EXPECTED)
    if data is None:
        raise UserError(f"{file}: no such file; expected {_EXPECTED}")
    saved_model = saved_model_message()
    try:
        saved_model.ParseFromString(data)
    except DecodeError as error:
        raise UserError(f"{file}: damaged ({error}); expected {_EXPECTED}") from None
    found = list(saved_model.meta_graphs)
    tagged = [meta_graph for meta_graph in found if tag in meta_graph.meta_info_def.tags]
    if len(tagged) == 1 or len(found) == 1:
        return (tagged or found)[0]
    tags = sorted({",".join(meta_graph.meta_info_def.tags) for meta_graph in found})
    raise UserError(f"{file}: expected one graph tagged {quote(tag)}, found {_listed(tags)}")


def _signature(meta_graph: Any, name: Optional[str], path: str) -> Any:
    public = [key for key in sorted(meta_graph.signature_def) if not key.startswith("__")]
    if name is None:
        name = public[0] if len(public) == 1 else "serving_default"
    if name not in public:
        raise UserError(f"{path}: no signature {quote(name)}; choose one of {_listed(public)}")
    chosen = meta_graph.signature_def[name]
    for key, info in [*chosen.inputs.items(), *chosen.outputs.items()]:
        if not info.name:
            raise UserError(
                f"{path}: {quote(key)} of signature {quote(name)} is not a dense tensor"
            )
    if not chosen.outputs:
        raise UserError(f"{path}: signature {quote(name)} has no outputs")
    return chosen


def _listed(names: Iterable[str]) -> str:
    return first_few(names, limit=10) or "none"


def _restored_names(graph_def: GraphDef) -> Dict[str, str]:
    """Variable's node -> its name in the checkpoint, from the operations that would restore it."""
    nodes = {node.name: node for node in graph_def.node}
    found = {}
    for node in graph_def.node:
        if node.op not in ("Assign", "AssignVariableOp") or len(node.input) < 2:
            continue
        variable, _ = source_of(nodes, node.input[0])
        name, index = source_of(nodes, node.input[1])
        restore = nodes.get(name)
        if variable not in nodes or restore is None or restore.op != "RestoreV2":
            continue
        names, slices = (_strings(nodes, restore, place) for place in (1, 2))
        if index < len(names) and not (index < len(slices) and slices[index]):
            found[variable] = names[index]
    return found


def _strings(nodes: Mapping[str, NodeDef], reader: NodeDef, place: int) -> List[str]:
    """The value of a node's input that is a constant of strings, else an empty list."""
    node = (
        nodes.get(source_of(nodes, reader.input[place])[0]) if place < len(reader.input) else None
    )
    if node is None or node.op != "Const":
        return []
    return [text.decode("utf-8", "replace") for text in node.attr["value"].tensor.string_val]


def _variables(graph_def: GraphDef, names: Mapping[str, str], path: str) -> Dict[str, np.ndarray]:
    """The values of a graph's variables by node; ``names`` in the checkpoint are by default the nodes'."""
    prefix = os.path.join(path, "variables", "variables")
    checkpoint = open_checkpoint(prefix) if os.path.isfile(prefix + ".index") else None
    values = {}
    for node in (node.name for node in graph_def.node if node.op in VARIABLES):
        name = names.get(node, node)
        if checkpoint is None or name not in checkpoint.shapes:
            raise UserError(
                f"{path}: variable {quote(node)} is not in variables/; expected values for all variables"
            )
        values[node] = checkpoint.read(name)
    return values
