"""SavedModels of TF 1 and TF 2, and of Keras: read as data, frozen, their functions inlined.

TensorFlow's own loader runs what a SavedModel brings along to initialise itself; here nothing of it is run.
"""

import os
from collections import OrderedDict
from typing import Iterable, Optional

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
from dgl.graphs.variables import freeze, restored_names
from dgl.tf_compat import tf
from dgl.weights import open_checkpoint
from dgl.weights.foreign import quoted

from google.protobuf.message import DecodeError  # isort: skip

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
        allow: as for :func:`~dgl.graphs.frozen.load_frozen`.

    Returns:
        :class:`~dgl.graphs.loaded.LoadedGraph` with the signature's inputs and outputs.

    Raises:
        UserError: missing, damaged, without such a signature, a variable without a value, control flow
            that cannot be inlined, or an operation that is refused.
    """
    path = str(path)
    meta_graph = _meta_graph(path, tag)
    chosen = _signature(meta_graph, signature, path)
    flat, replaced = inline_functions(meta_graph.graph_def, path)
    inputs = OrderedDict((key, chosen.inputs[key].name) for key in sorted(chosen.inputs))
    names = OrderedDict((key, chosen.outputs[key].name) for key in sorted(chosen.outputs))
    if outputs is not None:
        wanted = list(outputs)
        for key in wanted:
            if key not in names:
                raise UserError(
                    "{}: no output {}; choose of {}".format(path, quoted(key), _listed(names))
                )
        names = OrderedDict((key, names[key]) for key in wanted)
    for key, name in names.items():
        try:
            names[key] = "{}:{}".format(*follow(tensor_of(name), replaced))
        except ValueError as error:
            raise UserError("{}: damaged functions ({})".format(path, error)) from None
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
        raise UserError("{}: expected a SavedModel's folder".format(path))
    file = os.path.join(path, "saved_model.pb")
    data = read_bounded(file, _MOST_BYTES, _EXPECTED)
    found = []
    try:
        for begin, end in _fields(data, _META_GRAPHS):
            meta_graph = tf.MetaGraphDef()
            meta_graph.ParseFromString(data[begin:end])
            found.append(meta_graph)
    except (DecodeError, IndexError, ValueError) as error:
        raise UserError("{}: damaged ({}); expected {}".format(file, error, _EXPECTED)) from None
    tagged = [meta_graph for meta_graph in found if tag in meta_graph.meta_info_def.tags]
    if len(tagged) == 1 or len(found) == 1:
        return (tagged or found)[0]
    tags = sorted({",".join(meta_graph.meta_info_def.tags) for meta_graph in found})
    raise UserError("{}: expected one graph tagged {}, found {}".format(file, tag, _listed(tags)))


def _listed(names):
    return quoted(", ".join(names) or "none")


def _signature(meta_graph, name, path):
    public = [key for key in sorted(meta_graph.signature_def) if not key.startswith("__")]
    if name is None:
        name = public[0] if len(public) == 1 else DEFAULT_SIGNATURE
    if name not in public:
        raise UserError(
            "{}: no signature {}; choose of {}".format(path, quoted(name), _listed(public))
        )
    chosen = meta_graph.signature_def[name]
    for key, info in list(chosen.inputs.items()) + list(chosen.outputs.items()):
        if not info.name:
            raise UserError(
                "{}: {} of signature {} is no plain tensor".format(path, quoted(key), quoted(name))
            )
    if not chosen.outputs:
        raise UserError("{}: signature {} has no outputs".format(path, quoted(name)))
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
