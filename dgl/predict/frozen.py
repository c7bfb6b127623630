"""Build a checkpoint's network for inference, with its weights as constants."""

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from dgl.backbones.network import build_network
from dgl.backbones.registry import Backbone, BuildOptions, Network
from dgl.errors import UserError
from dgl.predict.folding import fold_batch_norms, mark_convolutions
from dgl.predict.precision import lower_precision, lowers
from dgl.tf_compat import reference_kernels, tf
from dgl.utils.cpu import FLOAT32
from dgl.utils.graph_walk import Parts, reachable
from dgl.utils.types import GraphDef, Tensor
from dgl.weights.checkpoint import Checkpoint
from dgl.weights.restore import read_all

_SCOPE = "network"
_MOST_BYTES = 2**31 - 2**20  # of one constant: a protocol buffer holds at most 2 GiB


def build_inference(
    backbone: Backbone,
    checkpoint: Checkpoint,
    image: Tensor,
    options: BuildOptions,
    gpus: int = 0,
    precision: str = FLOAT32,
) -> Network:
    """Build the network on ``image`` in the current graph, its weights as constants.

    On a CPU BatchNorm is folded (except with the reference kernels of :mod:`dgl.tf_compat`) and
    input gradients of convolutions are convolutions. On GPUs both are left to cuDNN.

    Args:
        backbone: registry entry.
        checkpoint: :class:`~dgl.weights.checkpoint.Checkpoint`.
        image: (N, S, S, 3) BGR in 0..255, any dtype.
        options: :class:`~dgl.backbones.BuildOptions`.
        gpus: number of GPUs that the graph will run on.
        precision: of :data:`dgl.utils.cpu.PRECISIONS`; bfloat16 on a CPU is part of the graph.

    Returns:
        :class:`~dgl.backbones.Network`. Nothing is left to initialize. Endpoints are bfloat16 where
        the graph computes in it, logits and head weights float32 all the same.

    Raises:
        UserError: the checkpoint does not fit, or has a variable of 2 GiB.
    """
    with tf.Graph().as_default() as graph:
        placeholder = tf.placeholder(image.dtype, image.shape, "image")
        network = build_network(backbone, placeholder, options)
        head_weights = tf.identity(
            network.head_weights
        )  # a variable by itself is no node to import
        values = read_all(tf.global_variables(), checkpoint)
    for name, value in values.items():
        if value.nbytes > _MOST_BYTES:
            raise UserError(
                f"{checkpoint.path}: {name} is {value.nbytes / 2**30:.1f} GiB large; expected less than 2"
            )
    outputs = [network.logits, head_weights] + list(network.endpoints.values())
    names = [tensor.op.name for tensor in outputs]
    graph_def = tf.graph_util.extract_sub_graph(graph.as_graph_def(), names)
    if not gpus:
        if not reference_kernels():
            graph_def, values = fold_batch_norms(graph_def, values, names)
        if lowers(precision, gpus):
            graph_def, values = lower_precision(graph_def, values)
        parts = Parts(graph_def, values)
        filters: Dict[str, Any] = {
            node.name: parts.array(node.input[1]) for node in graph_def.node if node.op == "Conv2D"
        }
        mark_convolutions(graph_def, filters)
    logits, head_weights, *activations = _import(graph_def, values, image, placeholder, outputs)
    return Network(logits, dict(zip(network.endpoints, activations)), head_weights)


def _import(
    graph_def: GraphDef,
    values: Mapping[str, np.ndarray],
    image: Tensor,
    placeholder: Tensor,
    outputs: Sequence[Tensor],
) -> List[Tensor]:
    """The graph's ``outputs``, computed from ``image``.

    Each constant is created separately, because a graph message holds at most 2 GiB.
    """
    names = [tensor.name for tensor in outputs]
    needed = reachable(graph_def, names)
    structure = tf.GraphDef()
    structure.versions.CopyFrom(graph_def.versions)
    structure.node.extend(
        node
        for node in graph_def.node
        if node.name in needed and node.name not in values and node.op != "Placeholder"
    )
    for node in structure.node:
        node.attr.pop("_class", None)  # colocation with a variable that is gone
    with tf.name_scope("weights"):
        constants = {name: tf.constant(value) for name, value in values.items() if name in needed}
    mapped = {name + ":0": constant for name, constant in constants.items()}
    mapped[placeholder.name] = image
    imported: List[Tensor] = tf.import_graph_def(structure, mapped, names, name=_SCOPE)
    return imported
