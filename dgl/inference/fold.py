"""BatchNorm folded into the convolution before it.

With its moving averages, ``gamma * (Wx - mean) / sqrt(variance + epsilon) + beta`` is a convolution by
``W * s`` and a bias ``beta - mean * s``, ``s = gamma / sqrt(variance + epsilon)``; a pass over the
activations less in both directions.
"""

from typing import Dict, Iterable, Mapping, Tuple

import numpy as np

from dgl.inference.graph_parts import Parts
from dgl.tf_compat import tf
from dgl.typing_names import GraphDef

_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def fold_batch_norms(
    graph_def: GraphDef, values: Mapping[str, np.ndarray], keep: Iterable[str]
) -> Tuple[GraphDef, Dict[str, np.ndarray]]:
    """Fold every BatchNorm whose input is a convolution that nothing else reads.

    Args:
        graph_def: ``tf.GraphDef`` of an inference graph, not changed.
        values: variable name -> float32 array.
        keep: names of nodes whose outputs are asked for; they keep their values.

    Returns:
        (graph_def, values): the BatchNorm's node is a BiasAdd of the same name, its convolution reads a
        variable named like it with ``/folded`` added, and values holds that and the bias.
    """
    parts = Parts(graph_def, values)
    folded, values = tf.GraphDef(), dict(values)
    replaced = {}
    for norm in graph_def.node:
        if norm.op not in _NORMS or norm.attr["is_training"].b:
            continue
        convolution = parts.producer(norm.input[0])
        arrays = [parts.array(name) for name in norm.input[1:5]]
        if (
            convolution.op != "Conv2D"
            or convolution.name in keep
            or parts.readers(convolution.name) != 1
            or parts.array(convolution.input[1]) is None
            or any(array is None for array in arrays)
        ):
            continue
        weights = parts.array(convolution.input[1])
        gamma, beta, mean, variance = [
            array.astype(np.float64) for array in arrays if array is not None
        ]
        scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
        filter_name, bias_name = convolution.name + "/folded", norm.name + "/folded"
        values[filter_name] = (weights * scale).astype(np.float32)
        values[bias_name] = (beta - mean * scale).astype(np.float32)
        replaced[convolution.name] = _convolution(convolution, filter_name)
        replaced[norm.name] = _bias(norm, bias_name)
    folded.versions.CopyFrom(graph_def.versions)
    folded.node.extend(replaced.get(node.name, node) for node in graph_def.node)
    return folded, values


def _convolution(node, filter_name):
    changed = tf.NodeDef()
    changed.CopyFrom(node)
    changed.input[1] = filter_name
    return changed


def _bias(norm, bias_name):
    node = tf.NodeDef(name=norm.name, op="BiasAdd", input=[norm.input[0], bias_name])
    node.attr["T"].CopyFrom(norm.attr["T"])
    if "data_format" in norm.attr:
        node.attr["data_format"].CopyFrom(norm.attr["data_format"])
    return node
