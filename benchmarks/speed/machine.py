"""Versions and processor that a measurement was made with."""

import os
import platform

try:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as _version
except ImportError:  # Python 3.7
    from pkg_resources import DistributionNotFound as PackageNotFoundError
    from pkg_resources import get_distribution

    def _version(distribution):
        return get_distribution(distribution).version


from dgl.utils.devices import BFLOAT16_FLAGS, cpu_info

_DISTRIBUTIONS = (
    "numpy",
    "opencv-python-headless",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-gpu",
    "tensorpack",
    "tf-keras",
    "torch",
    "captum",
    "grad-cam",
    "tf-keras-vis",
    "onnxruntime",
)
_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "amx_tile") + BFLOAT16_FLAGS


def version(distribution):
    """Installed version of a distribution, ``None`` where it is not installed."""
    try:
        return _version(distribution)
    except PackageNotFoundError:
        return None


def versions():
    """Ordered name -> version, of Python and of what matters here and is installed."""
    found = {"python": platform.python_version()}
    for distribution in _DISTRIBUTIONS:
        number = version(distribution)
        if number is not None:
            found[distribution] = number
    return found


def describe(info=None):
    """Ordered ``cpu``, ``cores`` (those this process may use) and ``flags`` (the ones of interest).

    Args:
        info: what :func:`dgl.utils.devices.cpu_info` tells; by default of this machine.
    """
    info = cpu_info() if info is None else info
    flags = info.get("flags", "").split()
    return {
        "cpu": info.get("model name") or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "flags": [flag for flag in _FLAGS if flag in flags],
    }


def keep_to(threads):
    """Let this process, and what it starts, run on so many cores only, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def peak_megabytes():
    """Most memory that this process has held so far, in MB of 10^6 bytes."""
    try:
        # getrusage's figure starts from what the parent held.
        with open("/proc/self/status", encoding="utf-8") as stream:
            line = next(line for line in stream if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource  # POSIX only

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
