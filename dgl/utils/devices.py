"""Devices: GPUs of `--gpu`, options of sessions, and the CPU's features with the values of `--precision`.

Nothing here loads TensorFlow before it is used.
"""

import logging
import os
import shutil
from typing import Container, Dict, FrozenSet, Optional, Set

from dgl.errors import UserError
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import SessionConfig

# The values of `--precision`; see dgl.predict.precision.
FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE = "float32", "bf16", "bf16-anywhere"
PRECISIONS = (FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE)

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")  # instructions that compute in bfloat16
_CPU_INFO = "/proc/cpuinfo"

# Of a session's operations, as TensorFlow does. Tensorpack's default is one core, which leaves the others
# idle without a GPU.
EVERY_CORE = 0

_logger = logging.getLogger(__name__)
_warned: Set[str] = set()  # values of --gpu, which the parts of a program ask for in turn


def select_gpus(gpu: Optional[str]) -> int:
    """Restrict this process to the GPUs of ``--gpu`` and count them.

    ``gpu`` is comma-separated indices, ``""`` or ``"-1"`` for the CPU, ``None`` for all GPUs. The number
    is 0 without GPUs or GPU support in TensorFlow, which is logged where one was named.

    Raises:
        UserError: ``gpu`` is not a list of indices.
    """
    if gpu is not None:
        indices = [part.strip() for part in gpu.split(",") if part.strip()]
        if indices != ["-1"] and not all(part.isdigit() for part in indices):
            raise UserError(f"--gpu {gpu}: expected indices like 0 or 0,1, or -1")
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(indices)
    count = _count_gpus()
    if not count and gpu is not None and gpu.strip() not in ("", "-1") and gpu not in _warned:
        _warned.add(gpu)
        _logger.warning(
            "--gpu %s: TensorFlow finds no such GPU; computing on the CPU (--gpu -1 says so)", gpu
        )
    return count


def _count_gpus() -> int:
    # Querying without a driver prints CUDA errors.
    driver = os.path.exists("/dev/nvidiactl") or shutil.which("nvidia-smi")
    if not driver or not tf.test.is_built_with_cuda():
        return 0
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    from tensorpack.utils.gpu import get_num_gpu

    try:
        return int(get_num_gpu())
    except Exception:  # which one depends on the driver's version
        return 0


def session_config(gpus: int) -> SessionConfig:
    """Session options: soft placement, GPU memory on demand, all cores; without GPUs, CUDA is not touched.

    The session gets its own threads. The last bit of oneDNN's results depends on what a thread computed
    before, so with threads shared by all sessions of a process the same network and image could give
    different results, for example after training. ``gpus`` is their number, from :func:`select_gpus`.
    """
    from tensorpack.tfutils.common import get_default_sess_config

    config = get_default_sess_config()
    config.intra_op_parallelism_threads = EVERY_CORE
    config.use_per_session_threads = True
    if gpus == 0:
        config.device_count["GPU"] = 0
    return config


def cpu_info(path: str = _CPU_INFO) -> Dict[str, str]:
    """The first processor's entry in Linux's ``/proc/cpuinfo``, key -> value; empty on other systems."""
    found: Dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                key, colon, value = line.partition(":")
                if colon:
                    found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return found


def cpu_flags(path: str = _CPU_INFO) -> FrozenSet[str]:
    """The first processor's feature flags; empty where the system has no list."""
    return frozenset(cpu_info(path).get("flags", "").split())


def has_bfloat16(flags: Container[str]) -> bool:
    """Whether a processor with these flags has bfloat16 instructions."""
    return any(flag in flags for flag in BFLOAT16_FLAGS)
