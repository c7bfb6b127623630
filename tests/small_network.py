"""Backbones with name-seeded weights, at any width: their variables, checkpoints and sessions."""

import functools

import numpy as np
from deterministic import value

from dgl.backbones import BuildOptions, get_backbone
from dgl.backbones.network import build_network
from dgl.tf_compat import tf


def options_of(mode, classes=5, data_set="imagenet", **more):
    """Build options with the head's name for ``data_set``."""
    head = more.pop("head", None) or get_backbone(mode).head_name(data_set, classes)
    return BuildOptions(classes=classes, head=head, **more)


def fill(session):
    """Give every variable of the session's graph the value that belongs to its name."""
    variables = tf.global_variables()
    feeds = {v.initializer.inputs[1]: value(v.op.name, v.shape.as_list()) for v in variables}
    session.run([v.initializer for v in variables], feeds)


@functools.lru_cache(maxsize=None)
def _shapes_of(mode, size, options):
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, size, size, 3])
        build_network(get_backbone(mode), image, options)
        return [(v.op.name, tuple(v.shape.as_list())) for v in tf.global_variables()]


def values_of(mode, size=64, **options):
    """Variable name -> float32 array, in the order of the graph."""
    shapes = _shapes_of(mode, size, options_of(mode, **options))
    return {name: value(name, shape) for name, shape in shapes}


def write_npz(path, values):
    """A plain NumPy archive; returns its path as str."""
    np.savez(str(path), **values)
    return str(path)


def write_tensorflow(prefix, values, version=2):
    """A checkpoint by ``tf.train.Saver``; returns its prefix as str."""
    with tf.Graph().as_default(), tf.Session() as session:
        variables = []
        for name, array in values.items():
            # Fed, because constants of full-size networks do not fit into a graph.
            start = tf.placeholder(array.dtype, array.shape)
            variables.append(tf.get_variable(name, initializer=start))
        feeds = {v.initializer.inputs[1]: array for v, array in zip(variables, values.values())}
        session.run([v.initializer for v in variables], feeds)
        form = tf.train.SaverDef.V1 if version == 1 else tf.train.SaverDef.V2
        tf.train.Saver(variables, write_version=form).save(session, str(prefix))
    return str(prefix)
