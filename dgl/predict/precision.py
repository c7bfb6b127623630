"""`--precision`: where bfloat16 is used, and whether it pays on this CPU.

``--precision``: bfloat16 where the hardware computes in it by itself, float32 everywhere.

On CPUs the graph is built in bfloat16 (:mod:`dgl.predict.bfloat16`), which oneDNN's kernels take. On GPUs
``bf16`` is TF32, the tensor cores' float32 with 10 bits of mantissa, which is more exact than bfloat16;
without it TF32 is off, so that float32 means float32.

``bf16-anywhere`` does not ask the CPU. Where there are no such instructions TensorFlow's own kernels, or
oneDNN's for AVX-512, do the same rounding, slower than float32: it tells what bfloat16 costs in accuracy
before there is a machine to gain by it.
"""

import logging
import os
import re
import time
from typing import Container, Optional

from dgl.errors import UserError
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.utils.cpu import BFLOAT16, BFLOAT16_FLAGS, FLOAT32, PRECISIONS, cpu_flags, has_bfloat16
from dgl.utils.types import DType, Operation, Session

_logger = logging.getLogger(__name__)
_TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"
_TENSOR_CORES = (8, 0)  # compute capability
_OLDEST = (2, 15)  # TensorFlow that was seen to have every kernel that the graph needs


def settle_gpu_precision(precision: str) -> None:
    """Turn TF32 off for float32, unless the environment says otherwise. Before a GPU is first used."""
    if precision == FLOAT32:
        os.environ.setdefault(_TF32_SWITCH, "0")


def lowers(precision: str, gpus: int = 0) -> bool:
    """Whether a graph for so many GPUs is built in bfloat16: on a CPU, where that was asked for."""
    return precision != FLOAT32 and not gpus


def has_bfloat16_kernels() -> bool:
    """Whether this TensorFlow computes in bfloat16 on a CPU, with or without instructions for it."""
    return tuple(map(int, re.findall(r"\d+", tf.VERSION)[:2])) >= _OLDEST


def check_precision(precision: str, gpus: int = 0, flags: Optional[Container[str]] = None) -> None:
    """See that what was asked for is to be had; log one warning if it makes this CPU slower.

    Args:
        precision: of :data:`dgl.utils.cpu.PRECISIONS`.
        gpus: number of GPUs that the session may use.
        flags: those of the CPU; by default this machine's.

    Raises:
        UserError: an unknown precision, a processor without bfloat16 instructions, a GPU without TF32,
            or a TensorFlow that cannot.
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
    # oneDNN has the kernels from AVX-512 on, but only these instructions make them pay.
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
        _warn_of_loss(bfloat16_gain())


def _warn_of_loss(gain):
    if gain < 1:
        _logger.warning(
            "--precision bf16: this CPU's bfloat16 instructions are slower than its float32, a convolution "
            "takes %.1f times as long; leave the flag out to be faster",
            1 / gain,
        )


# What bfloat16 brings on this CPU: a convolution, timed in it and in float32.

_IMAGES, _SIDE, _CHANNELS = 4, 28, 256  # one in the middle of a VGG16 at 224 x 224: 10 to 50 ms
_TIMES = 5


def convolution(dtype: DType) -> Operation:
    """A 3 x 3 convolution as the backbones have them, which reads and leaves nothing.

    Args:
        dtype: ``tf.float32`` or ``tf.bfloat16``, of what is convolved, of the kernel and of the result.

    Returns:
        the ``tf.Operation`` that runs it, in the present graph.
    """
    activation = tf.Variable(tf.ones([_IMAGES, _SIDE, _SIDE, _CHANNELS], dtype))
    kernel = tf.Variable(tf.ones([3, 3, _CHANNELS, _CHANNELS], dtype))
    return tf.nn.conv2d(activation, kernel, strides=[1, 1, 1, 1], padding="SAME").op


def _seconds(session: Session, operation: Operation) -> float:
    start = time.perf_counter()
    session.run(operation)
    return time.perf_counter() - start


def bfloat16_gain() -> float:
    """How many times as fast a convolution is in bfloat16 as in float32; takes a fraction of a second.

    Returns:
        float: quotient of the shortest times, so that what else the machine does counts little.
    """
    with tf.Graph().as_default():
        both = [convolution(dtype) for dtype in (tf.float32, tf.bfloat16)]
        with open_session() as session:
            session.run(tf.global_variables_initializer())
            # In turn; the first time also prepares the kernel, and is never the shortest.
            times = [[_seconds(session, one) for one in both] for _ in range(_TIMES)]
    exact, rounded = (min(own) for own in zip(*times))
    return exact / rounded
