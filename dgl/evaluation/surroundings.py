"""What of the driver's surroundings the arithmetic of a worker hangs on, as environment variables.

An operation that is shared out among threads sums in an order that hangs on their number: maps differ in
the last bit between one thread and two. So a worker runs as many as a single run would where the command
was given, whatever number of cores it has for itself.
"""

import os
from typing import Dict, Mapping, Optional

_THREADS = "TF_NUM_INTRAOP_THREADS"
# Of kernels, precision and threads. TF_CONFIG tells a process of its role and is left alone.
_PREFIXES = ("TF_", "ONEDNN_", "DNNL_", "OMP_", "NVIDIA_TF32_")
_OWN = ("TF_CONFIG",)


def arithmetic_environment(environ: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """The variables of this process that a worker has to have as well.

    Args:
        environ: mapping, by default ``os.environ``.

    Returns:
        dict name -> value, ``TF_NUM_INTRAOP_THREADS`` among them: what TensorFlow would take by itself
        where it is not set.
    """
    environ = os.environ if environ is None else environ
    found = {name: value for name, value in environ.items() if _is_arithmetic(name)}
    threads = found.get(_THREADS, "")
    if not (threads.isdigit() and int(threads)):
        found[_THREADS] = str(_usable_cores())
    return found


def take_on(variables: Mapping[str, str]) -> None:
    """Make this process's environment that of :func:`arithmetic_environment`. Before TensorFlow loads."""
    for name in [name for name in os.environ if _is_arithmetic(name)]:
        if name not in variables:
            del os.environ[name]
    os.environ.update(variables)


def _is_arithmetic(name):
    return name.startswith(_PREFIXES) and name not in _OWN


def _usable_cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows pin no process
        return os.cpu_count() or 1
