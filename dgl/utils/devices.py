"""What this machine computes on: the GPUs that TensorFlow can use, or the CPU."""

import os
import shutil
from typing import Optional

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.utils.types import SessionConfig

from tensorpack.tfutils.common import get_default_sess_config  # isort: skip
from tensorpack.utils.gpu import get_num_gpu  # isort: skip


def select_gpus(gpu: Optional[str]) -> int:
    """Make ``--gpu`` hold for this process and count the GPUs left to it.

    Args:
        gpu: comma-separated indices, ``""`` or ``"-1"`` for the CPU, ``None`` for every GPU there is.

    Returns:
        int, 0 where there is none (or TensorFlow has no GPU support).

    Raises:
        UserError: ``gpu`` is not a list of indices.
    """
    if gpu is not None:
        indices = [part.strip() for part in gpu.split(",") if part.strip()]
        if indices != ["-1"] and not all(part.isdigit() for part in indices):
            raise UserError(f"--gpu {gpu}: expected indices like 0 or 0,1, or -1")
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(indices)
    # Without a driver there is nothing to ask; asking all the same prints CUDA's complaints.
    driver = os.path.exists("/dev/nvidiactl") or shutil.which("nvidia-smi")
    if not driver or not tf.test.is_built_with_cuda():
        return 0
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    try:
        return get_num_gpu()
    except Exception:  # its library fails in as many ways as there are driver versions
        return 0


def use_every_core(config: SessionConfig) -> SessionConfig:
    """Let an operation use every core, as TensorFlow does by itself; returns the ``tf.ConfigProto``.

    Tensorpack gives it one, which leaves the others idle where there is no GPU.
    """
    config.intra_op_parallelism_threads = 0  # as many as there are
    return config


def session_config(gpus: int) -> SessionConfig:
    """Session options: soft placement, memory as needed, every core; without GPUs, no attempt to reach one.

    The session has threads of its own. What oneDNN computes hangs by the last bit on what a thread did
    before (its share of threads is kept by thread), so in threads shared by all sessions of a process the
    same network and image would give one of several results, after a training for example.

    Args:
        gpus: their number, from :func:`select_gpus`.

    Returns:
        ``tf.ConfigProto``.
    """
    config = use_every_core(get_default_sess_config())
    config.use_per_session_threads = True
    if gpus == 0:
        config.device_count["GPU"] = 0
    return config
