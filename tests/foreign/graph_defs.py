"""Graph messages written by hand, node by node, with whatever operations a test wants in them."""

import numpy as np
from refusals import refusal

from dgl.foreign import load_frozen
from dgl.tf_compat import tf


def node(name, op, *inputs, **attributes):
    """A node; attributes are TensorFlow types, arrays, ints, or names of functions (``func=``)."""
    made = tf.NodeDef(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        if isinstance(value, tf.DType):
            made.attr[key].type = value.as_datatype_enum
        elif isinstance(value, bytes):
            made.attr[key].s = value
        elif isinstance(value, str):
            made.attr[key].func.name = value
        elif isinstance(value, np.ndarray):
            made.attr[key].tensor.CopyFrom(tf.make_tensor_proto(value))
        else:
            made.attr[key].i = value
    return made


def constant(name, value):
    array = np.asarray(value)
    return node(name, "Const", dtype=tf.as_dtype(array.dtype), value=array)


def message(*nodes):
    return tf.GraphDef(node=nodes)


def function(graph_def, name, arguments, results, *nodes):
    """Add a function of floats to a graph: names of arguments, result's name -> what it is, nodes."""
    made = graph_def.library.function.add(node_def=nodes)
    made.signature.name = name
    for add, names in ((made.signature.input_arg, arguments), (made.signature.output_arg, results)):
        for one in names:
            add.add(name=one, type=tf.float32.as_datatype_enum)
    for result, read in results.items():
        made.ret[result] = read


def write(path, graph_def):
    with open(str(path), "wb") as stream:
        stream.write(graph_def.SerializeToString())
    return str(path)


def load(folder, graph_def, **more):
    return load_frozen(write(folder / "a.pb", graph_def), **more)


def refused(reader, path, **more):
    """The line in which a function refuses to read a file or folder, and names it."""
    text = refusal(reader, str(path), **more)
    assert text.startswith(str(path))
    return text


def value_of(tensor, feeds=None):
    with tf.Session(graph=tensor.graph) as session:
        return session.run(tensor, feeds)
