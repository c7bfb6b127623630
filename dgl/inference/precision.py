"""``--precision``: bfloat16 where the hardware computes in it by itself, float32 everywhere.

On CPUs oneDNN's auto mixed precision puts convolutions and matrix products in bfloat16 (8 bits of
mantissa), and leaves softmax and the norms in float32. On GPUs ``bf16`` is TF32, the tensor cores' float32
with 10 bits of mantissa, which is more exact than bfloat16; without it TF32 is off, so that float32 means
float32.
"""

import os
from typing import Container, Optional

from dgl.errors import UserError
from dgl.precisions import FLOAT32, PRECISIONS
from dgl.processor import BFLOAT16_FLAGS, cpu_flags, has_bfloat16
from dgl.tf_compat import tf
from dgl.typing_names import SessionConfig

_TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"
_TENSOR_CORES = (8, 0)  # compute capability
# By TensorFlow's version: the same rewriter under its names over the years.
_REWRITERS = ("auto_mixed_precision_onednn_bfloat16", "auto_mixed_precision_mkl")


def settle_gpu_precision(precision: str) -> None:
    """Turn TF32 off for float32, unless the environment says otherwise. Before a GPU is first used."""
    if precision == FLOAT32:
        os.environ.setdefault(_TF32_SWITCH, "0")


def set_precision(
    config: SessionConfig, precision: str, gpus: int = 0, flags: Optional[Container[str]] = None
) -> None:
    """Ask for a precision in session options.

    Args:
        config: ``tf.ConfigProto``, changed in place.
        precision: of :data:`dgl.precisions.PRECISIONS`.
        gpus: number of GPUs that the session may use.
        flags: those of the CPU; by default this machine's.

    Raises:
        UserError: a processor without bfloat16 instructions, a GPU without TF32, or a TensorFlow that
            cannot.
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
    # oneDNN computes in bfloat16 from AVX-512 on, but only these instructions make it pay.
    if not has_bfloat16(flags):
        raise UserError(
            "--precision bf16: this CPU has neither {}; leave the flag out to compute in float32".format(
                " nor ".join(BFLOAT16_FLAGS)
            )
        )
    rewrite = config.graph_options.rewrite_options
    names = [name for name in _REWRITERS if name in rewrite.DESCRIPTOR.fields_by_name]
    if not names:
        raise UserError(
            "--precision bf16: TensorFlow {} cannot; 2.4 and later can".format(tf.VERSION)
        )
    setattr(rewrite, names[0], 1)  # RewriterConfig.ON
