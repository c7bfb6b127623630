"""Backbones of any width with weights seeded by their names: variables, checkpoints and sessions."""

import functools
import json
import os
import zlib

import numpy as np
from sample_images import REFERENCE

from dgl.backbones import PAPER_MODES, BuildOptions, get_backbone
from dgl.backbones.network import build_network
from dgl.tf_compat import tf

WIDTH = 0.125


def value(name, shape):
    """The value of variable ``name``: seeded by the name, distributed by the kind of variable."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    parts = name.split("/")
    kind = parts[-2] if parts[-1] == "EMA" else parts[-1]
    if kind in ("W", "weights"):
        scale = np.sqrt(2.0 / max(1, int(np.prod(shape[:-1]))))
        return (rng.standard_normal(shape) * scale).astype("float32")
    if kind == "gamma":
        return rng.uniform(0.3, 0.7, shape).astype("float32")
    if "variance" in kind:
        return rng.uniform(0.5, 1.5, shape).astype("float32")
    if "mean" in kind or kind in ("beta", "b", "biases"):
        return (rng.standard_normal(shape) * 0.1).astype("float32")
    raise KeyError(name)


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
def shapes_of(mode, size, options):
    """[(name, shape)] of a network's variables, in the order of the graph."""
    usual = BuildOptions(classes=options.classes, head=options.head, width=options.width)
    # In narrower networks the least number of channels breaks proportions.
    if mode in PAPER_MODES and options == usual and options.width >= 0.125:
        return _published_shapes(mode, options)
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, size, size, 3])
        build_network(get_backbone(mode), image, options)
        return [(v.op.name, tuple(v.shape.as_list())) for v in tf.global_variables()]


def _published_shapes(mode, options):
    """The published names and shapes, scaled; building the graph for them would take seconds."""
    with open(os.path.join(REFERENCE, mode + ".json"), encoding="utf-8") as stream:
        published = json.load(stream)["variables"]
    head, shapes = get_backbone(mode).head_name("imagenet", 1000), []
    for name, shape in published.items():
        spatial = 2 if len(shape) == 4 else 0
        channels = [n if n == 3 else options.channels(n) for n in shape[spatial:]]
        if "/fc1/" in name or name.endswith("/fc2/W"):  # squeezed to a fourth
            place = -1 if "/fc1/" in name else 0
            channels[place] = max(1, options.channels(4 * shape[place]) // 4)
        if head + "/" in name:
            name = name.replace(head + "/", options.head + "/")
            channels[-1] = options.classes
        shapes.append((name, tuple(shape[:spatial] + channels)))
    return shapes


def values_of(mode, size=64, **options):
    """Variable name -> float32 array, in the order of the graph."""
    shapes = shapes_of(mode, size, options_of(mode, **options))
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


def vgg_shapes(classes, head="linear", norm="none"):
    """Variable name -> shape of VGG16-GAP at width 1/8."""
    shapes = {}
    for name, shape in shapes_of("vgg", 64, options_of("vgg", classes, head=head, width=WIDTH)):
        if norm == "bn" and name.endswith("/b") and not name.startswith(head):
            for part in ("gamma", "beta", "mean/EMA", "variance/EMA"):
                shapes[f"{name[:-2]}/bn/{part}"] = shape
        else:
            shapes[name] = shape
    return shapes


def vgg_variables(classes, head="linear", norm="none"):
    """Variable name -> float32 array, the same at every call."""
    return {name: value(name, shape) for name, shape in vgg_shapes(classes, head, norm).items()}


def has_keras():
    """Whether TensorFlow has a Keras that builds graphs: its own up to 2.15, else tf-keras."""
    try:
        return callable(tf.keras.applications.MobileNet)
    except (ImportError, AttributeError):
        return False
