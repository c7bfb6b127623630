"""`--precision`: networks in bfloat16, and whether that is faster on this CPU.

On CPUs the graph itself is built in bfloat16: convolutions, and the operations between them, forward and
backward, with sums in float32 (oneDNN and TensorFlow alike). Normalization of the image, global pooling,
the classifier, softmax and the arithmetic of maps stay in float32. TensorFlow's auto mixed precision, which
rewrites a graph inside the session, would lower the norms and products of the maps too (docs/speed.md).
On GPUs ``bf16`` is TF32, the tensor cores' float32 with 10 bits of mantissa; without the flag TF32 is off.

``bf16-anywhere`` does not require CPU instructions. Without them TensorFlow's own kernels, or oneDNN's for
AVX-512, round the same way, slower than float32, which shows the accuracy of bfloat16 on any machine.
"""

import logging
import os
import re
import time
from typing import Container, Dict, Mapping, Optional, Set, Tuple

import numpy as np

from dgl.errors import UserError
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.utils.devices import BFLOAT16, BFLOAT16_FLAGS, FLOAT32, PRECISIONS, cpu_flags, has_bfloat16
from dgl.utils.graph_walk import Parts, node_name
from dgl.utils.types import DType, GraphDef, Operation, Session

_logger = logging.getLogger(__name__)
_TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"
_TENSOR_CORES = (8, 0)  # compute capability
_OLDEST = (2, 15)  # first TensorFlow known to have every kernel needed
# The measured convolution: a layer in the middle of VGG16 at 224 x 224, 10 to 50 ms.
_IMAGES, _SIDE, _CHANNELS = 4, 28, 256
_RUNS = 5

# Operations that start computing in bfloat16 and those that continue; values: inputs of that type, a slice.
_STARTS = {"Conv2D": slice(0, 2), "DepthwiseConv2dNative": slice(0, 2)}
_CONTINUES = {
    "Add": slice(0, 2),
    "AddV2": slice(0, 2),
    "AvgPool": slice(0, 1),
    "BiasAdd": slice(0, 2),
    "ConcatV2": slice(0, -1),
    "Identity": slice(0, 1),
    "MaxPool": slice(0, 1),
    "Mul": slice(0, 2),
    "Pad": slice(0, 1),
    "Relu": slice(0, 1),
    "Relu6": slice(0, 1),
}
_TYPED = dict(_STARTS, **_CONTINUES)
_SUFFIX = {tf.bfloat16: "/bfloat16", tf.float32: "/float32"}


def set_gpu_precision(precision: str) -> None:
    """Turn TF32 off for float32, unless the environment sets it; call before the first use of a GPU."""
    if precision == FLOAT32:
        os.environ.setdefault(_TF32_SWITCH, "0")


def has_bfloat16_kernels() -> bool:
    """Whether this TensorFlow computes in bfloat16 on a CPU, with or without instructions for it."""
    return tuple(map(int, re.findall(r"\d+", tf.VERSION)[:2])) >= _OLDEST


def check_precision(precision: str, gpus: int = 0, flags: Optional[Container[str]] = None) -> None:
    """Check that a precision is available, and log a warning if it makes this CPU slower.

    Args:
        precision: of :data:`dgl.utils.devices.PRECISIONS`.
        gpus: number of GPUs that the session may use.
        flags: those of the CPU; by default this machine's.

    Raises:
        UserError: an unknown precision, or one that the processor, the GPU or TensorFlow lacks.
    """
    if precision not in PRECISIONS:
        raise UserError("--precision {}: choose of {}".format(precision, ", ".join(PRECISIONS)))
    if precision == FLOAT32:
        return
    if gpus:
        if not tf.test.is_gpu_available(min_cuda_compute_capability=_TENSOR_CORES):
            raise UserError("--precision bf16: expected a GPU of compute capability 8.0 or more")
        return
    flags = cpu_flags() if flags is None else flags
    # oneDNN has the kernels from AVX-512 on, but they are faster only with these instructions.
    if precision == BFLOAT16 and not has_bfloat16(flags):
        raise UserError(
            "--precision bf16: this CPU has neither {}; leave the flag out to compute in float32".format(
                " nor ".join(BFLOAT16_FLAGS)
            )
        )
    if not has_bfloat16_kernels():
        raise UserError(
            "--precision bf16: TensorFlow {} cannot; {}.{} and later can".format(
                tf.VERSION, *_OLDEST
            )
        )
    if precision == BFLOAT16:
        gain = bfloat16_gain()
        if gain < 1:
            _logger.warning(
                "--precision bf16: this CPU's bfloat16 instructions are slower than its float32, a "
                "convolution takes %.1f times as long; leave the flag out to be faster",
                1 / gain,
            )


def convolution(dtype: DType) -> Operation:
    """A 3 x 3 convolution like those of the backbones, of one type, in the current graph."""
    activation = tf.Variable(tf.ones([_IMAGES, _SIDE, _SIDE, _CHANNELS], dtype))
    kernel = tf.Variable(tf.ones([3, 3, _CHANNELS, _CHANNELS], dtype))
    return tf.nn.conv2d(activation, kernel, strides=[1, 1, 1, 1], padding="SAME").op


def _seconds(session: Session, operation: Operation) -> float:
    start = time.perf_counter()
    session.run(operation)
    return time.perf_counter() - start


def bfloat16_gain() -> float:
    """Speedup of a convolution in bfloat16 over float32; takes a fraction of a second.

    The shortest times are divided, which other load affects least.
    """
    with tf.Graph().as_default():
        both = [convolution(dtype) for dtype in (tf.float32, tf.bfloat16)]
        with open_session() as session:
            session.run(tf.global_variables_initializer())
            # Alternating; the first run also prepares the kernel and is never the shortest.
            times = [[_seconds(session, one) for one in both] for _ in range(_RUNS)]
    exact, rounded = (min(own) for own in zip(*times))
    return float(exact / rounded)


def lower_precision(
    graph_def: GraphDef, values: Mapping[str, np.ndarray]
) -> Tuple[GraphDef, Dict[str, np.ndarray]]:
    """Compute the convolutions of a network, and what lies between them, in bfloat16.

    Args:
        graph_def: ``tf.GraphDef`` of a float32 inference graph, nodes in order of computation; not
            changed.
        values: variable name -> float32 array.

    Returns:
        (graph_def, values): nodes keep their names, and the lowered ones return bfloat16; values also
        holds their weights in bfloat16, under names that end in ``/bfloat16``.
    """
    parts, low = Parts(graph_def, values), _lowered_nodes(graph_def)
    values, casts = dict(values), set()
    target = tf.GraphDef(versions=graph_def.versions)

    def cast(name: str, source: DType, dtype: DType) -> str:
        """The cast of a tensor, one for all its readers."""
        own = name.replace(":", "_") + _SUFFIX[dtype]
        if own not in casts:
            casts.add(own)
            node = target.node.add(name=own, op="Cast", input=[name])
            node.attr["SrcT"].type = source.as_datatype_enum
            node.attr["DstT"].type = dtype.as_datatype_enum
        return own

    def lowered(name: str) -> str:
        """The bfloat16 version of a tensor of the source."""
        array = parts.array(name)
        if node_name(name) in low:
            return name
        if array is None:
            return cast(name, tf.float32, tf.bfloat16)
        own = node_name(name) + _SUFFIX[tf.bfloat16]
        values[own] = array.astype(tf.bfloat16.as_numpy_dtype)
        return own

    def raised(name: str) -> str:
        """The float32 version of a tensor of the source; control inputs unchanged."""
        is_low = node_name(name) in low and not name.startswith("^")
        return cast(name, tf.bfloat16, tf.float32) if is_low else name

    for node in graph_def.node:
        inputs = list(node.input)
        if node.name in low:
            computed = _TYPED[node.op]
            inputs[computed] = map(lowered, inputs[computed])
        else:
            inputs = list(map(raised, inputs))
        changed = target.node.add()
        changed.CopyFrom(node)
        changed.input[:] = inputs
        if node.name in low:
            changed.attr["T"].type = tf.bfloat16.as_datatype_enum
    return target, values


def _lowered_nodes(graph_def: GraphDef) -> Set[str]:
    """Names of the nodes that compute in bfloat16."""
    lowered: Set[str] = set()
    pooled: Set[str] = set()  # computed from spatial means: gates and the classifier
    for node in graph_def.node:
        read = {node_name(name) for name in node.input[_TYPED.get(node.op, slice(None))]}
        if (read & lowered and node.op in _TYPED) or (node.op in _STARTS and not read & pooled):
            lowered.add(node.name)
        elif node.op == "Mean" or read & pooled:
            pooled.add(node.name)
    return lowered
