"""From a checkpoint to a network: which network it is for, what matches, and the assignment."""

import os
from collections import OrderedDict

import numpy as np

from dgl.backbones import BuildOptions
from dgl.backbones.network import build_network
from dgl.devices import session_config
from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.weights.published import converted_name, how_to_get
from dgl.weights.sources import recognise

PRETRAINED_FOLDER = "pretrain_model"
# By which Inception's heads are named, whatever their width.
_CLASSES = {"imagenet": 1000, "cub": 200}
_NAMED = 4  # how many disagreeing variables an error names


def find_weights(backbone, load):
    """Turn ``--load NAME_OR_PATH`` into a path.

    A short name (``vgg``, ``resnet50``, ...) stands for the ImageNet file in ``pretrain_model/``, looked
    for in the working folder and beside the package: under its published name, then under the one that
    :mod:`dgl.weights.convert` gives. The name of a file there will do too.

    Raises:
        UserError: a short name whose file is absent; the message says what to fetch and from where.
    """
    file_name = backbone.pretrained.get(load)
    if _is_checkpoint(load):
        return load
    roots = (os.getcwd(), os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    for name in (file_name, converted_name(file_name)) if file_name else (load,):
        for root in roots:
            path = os.path.join(root, PRETRAINED_FOLDER, name)
            if _is_checkpoint(path):
                return path
    if file_name is None:
        return load
    folder = os.path.join(os.getcwd(), PRETRAINED_FOLDER, "")
    raise UserError("--load {}: {}".format(load, how_to_get(backbone.mode, file_name, folder)))


def _is_checkpoint(path):
    return os.path.exists(path) or os.path.exists(path + ".index")


def conversion_hint(backbone, checkpoint):
    """How to make a file for ``backbone`` of another publisher's weights; ``""`` for anything else."""
    recognised = recognise(checkpoint.shapes)
    if recognised is None or backbone.mode not in recognised[1]:
        return ""
    return "; `python -m dgl.weights.convert {}` makes a file for --load of it".format(
        checkpoint.path
    )


def _first_names(checkpoint):
    """What a checkpoint begins with, optimizer slots left out."""
    names = [name for name in checkpoint.shapes if not name.endswith("/Momentum")]
    return ", ".join(names[:_NAMED]) or "nothing"


def choose_head(backbone, checkpoint, data_set=None):
    """The classification layer of a checkpoint: (scope, number of classes).

    With several heads, the one named for ``data_set`` is taken, else the first by name.

    Raises:
        UserError: there is none.
    """
    heads = backbone.find_heads(checkpoint.shapes)
    if not heads:
        raise UserError(
            "{}: holds no classification layer of {} (a variable like {}); it begins with {}".format(
                checkpoint.path,
                backbone.mode,
                backbone.head_pattern.replace("[^/]*", "*").replace("[^/]+", "*").strip("()"),
                _first_names(checkpoint),
            )
        )
    if data_set in _CLASSES:
        head = backbone.head_name(data_set, _CLASSES[data_set])
        if head in heads:
            return head, heads[head]
    return next(iter(heads.items()))


def options_from(backbone, checkpoint, data_set=None, width=None, norm=None, last_stride=1):
    """Build options that a checkpoint asks for.

    Args:
        backbone: registry entry.
        checkpoint: :class:`~dgl.weights.checkpoint.Checkpoint`.
        data_set: decides between several heads.
        width, norm: what the caller insists on; ``None`` takes the checkpoint's.
        last_stride: not stored in a checkpoint; the caller says.

    Returns:
        :class:`~dgl.backbones.BuildOptions`.

    Raises:
        UserError: the checkpoint is another backbone's.
    """
    if backbone.stem not in checkpoint.shapes:
        raise UserError(
            "{}: not a checkpoint of --mode {}: it lacks {}; it begins with {}{}".format(
                checkpoint.path,
                backbone.mode,
                backbone.stem,
                _first_names(checkpoint),
                conversion_hint(backbone, checkpoint),
            )
        )
    head, classes = choose_head(backbone, checkpoint, data_set)
    return BuildOptions(
        classes=classes,
        head=head,
        width=backbone.find_width(checkpoint.shapes) if width is None else width,
        norm=backbone.find_norm(checkpoint.shapes) if norm is None else norm,
        last_stride=last_stride,
    )


def network_variables(backbone, options, image_size, trained=False):
    """Names and shapes of a network's variables, from a graph that is thrown away.

    Args:
        backbone: registry entry.
        options: :class:`~dgl.backbones.BuildOptions`.
        image_size: side of the input.
        trained: only what an optimizer changes, BatchNorm's moving averages left out.

    Returns:
        ordered variable name -> tuple of int.
    """
    with tf.Graph().as_default():
        build_network(
            backbone, tf.placeholder(tf.float32, [None, image_size, image_size, 3]), options
        )
        variables = tf.trainable_variables() if trained else tf.global_variables()
        return OrderedDict((v.op.name, tuple(v.shape.as_list())) for v in variables)


def disagreements(variables, checkpoint):
    """Graph variables that the checkpoint cannot fill.

    Args:
        variables: list of graph variables.
        checkpoint: :class:`~dgl.weights.checkpoint.Checkpoint`.

    Returns:
        (missing, mismatched): names, and "name (network [..], checkpoint [..])" texts.
    """
    missing, mismatched = [], []
    for variable in variables:
        name, shape = variable.op.name, tuple(variable.shape.as_list())
        stored = checkpoint.shapes.get(name)
        if stored is None:
            missing.append(name)
        elif stored != shape:
            mismatched.append(
                "{} (network {}, checkpoint {})".format(name, list(shape), list(stored))
            )
    return missing, mismatched


def assign(session, variables, checkpoint):
    """Fill every variable from the checkpoint; all of them must match.

    Raises:
        UserError: naming the first variables that disagree, or one that holds NaN or infinity.
    """
    missing, mismatched = disagreements(variables, checkpoint)
    if missing or mismatched:
        wrong = mismatched + ["{} (absent)".format(name) for name in missing]
        more = len(wrong) - _NAMED
        raise UserError(
            "{}: does not fit this network: {}{}".format(
                checkpoint.path,
                ", ".join(wrong[:_NAMED]),
                " and {} more".format(more) if more > 0 else "",
            )
        )
    feeds = {}
    for variable in variables:
        value = checkpoint.read(variable.op.name)
        if not np.isfinite(value).all():
            raise UserError(
                "{}: {} holds NaN or infinity, expected finite weights".format(
                    checkpoint.path, variable.op.name
                )
            )
        feeds[variable.initializer.inputs[1]] = value
    session.run([v.initializer for v in variables], feeds)


def build_inference(backbone, checkpoint, image, options, gpus=0):
    """Build the network on ``image`` and open a session with the checkpoint's weights.

    Args:
        backbone: registry entry.
        checkpoint: :class:`~dgl.weights.checkpoint.Checkpoint`.
        image: (N, S, S, 3) BGR in 0..255, any dtype.
        options: :class:`~dgl.backbones.BuildOptions`.
        gpus: number of GPUs to use.

    Returns:
        (network, session); the session belongs to the caller.

    Raises:
        UserError: the checkpoint does not fit.
    """
    network = build_network(backbone, image, options)
    session = tf.Session(config=session_config(gpus))
    try:
        assign(session, tf.global_variables(), checkpoint)
    except UserError:
        session.close()
        raise
    return network, session
