"""The one place where TensorFlow is imported, and where its CPU kernels are chosen.

Graph mode through ``tf.compat.v1`` on TF 1.15, 2.15 and 2.21. Modules that build or run graphs say
``from dgl.tf_compat import tf``, which loads TensorFlow; tensorpack's graph parts are imported after it.
Modules that are read before TensorFlow is needed (registries, flags) say
``from dgl.tf_compat import lazy_tf as tf``, which loads it at the first use. Importing this module alone
loads nothing. No other module may import ``tensorflow``.

TensorFlow brings two sets of kernels for the CPU, and the choice has to be made before it loads. oneDNN's
are faster (VGG16: 1.2 to 1.4 times). They round differently from the TensorFlow 1.15 that the published
maps come from. A different rounding that puts one pre-activation on the other side of zero switches a
ReLU, and with it the gradient: at layers far from the output single places of a map then move by up to 3 %
of its range. TensorFlow's own kernels still round as they did in 1.15.
"""

import contextlib
import os
import re
import sys
import tempfile
import warnings
from typing import Any, Callable

_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly")


def _installed_version():
    """Version of the installed TensorFlow as (major, minor), without loading it."""
    try:
        from importlib.metadata import PackageNotFoundError, version
    except ImportError:  # Python 3.7 has no importlib.metadata; its newest TensorFlow is 2.11.
        return (1, 15)
    for distribution in _DISTRIBUTIONS:
        try:
            numbers = re.match(r"(\d+)\.(\d+)", version(distribution))
        except PackageNotFoundError:
            continue
        if numbers:
            return int(numbers.group(1)), int(numbers.group(2))
    return (0, 0)


_KERNELS = "TF_ENABLE_ONEDNN_OPTS"


def use_reference_kernels() -> None:
    """Compute as TensorFlow 1.15 did, unless the environment says otherwise.

    Without effect once TensorFlow is loaded, and on a GPU.
    """
    os.environ.setdefault(_KERNELS, "0")


def use_fast_kernels() -> None:
    """Compute with oneDNN, unless the environment or :func:`use_reference_kernels` says otherwise."""
    os.environ.setdefault(_KERNELS, "1")


def reference_kernels() -> bool:
    """Whether TensorFlow 1.15's rounding is asked for, so that no arithmetic may be rearranged."""
    return os.environ.get(_KERNELS) == "0"


@contextlib.contextmanager
def _quiet_stderr():
    """Hold back what TensorFlow's C++ side prints while it loads; show it only when loading fails.

    Its remarks on CPU features and absent CUDA drivers ignore every log level, and would bury the one
    line that a script prints about bad input.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # no standard error to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _load() -> Any:
    # From 2.16 on, `tf.layers` (and so every tensorpack layer) needs the separate tf-keras, which has to be
    # chosen before TensorFlow loads. Up to 2.15 the same variable makes TensorFlow look for a module that
    # is not there.
    if _installed_version() >= (2, 16):
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    else:
        os.environ.pop("TF_USE_LEGACY_KERAS", None)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    use_fast_kernels()
    with _quiet_stderr():
        import tensorflow.compat.v1 as tf
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()
    warnings.filterwarnings("ignore", message=".*tf.layers.* is deprecated")
    # What Keras's own models need in graph mode.
    warnings.filterwarnings("ignore", message=".*set_learning_phase")
    return tf


class _Lazy:
    """A module that is loaded when its first attribute is read."""

    def __init__(self, load: Callable[[], Any]):
        self._load = load

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._load(), name)
        setattr(self, name, value)
        return value


def _tensorpack() -> Any:
    sys.modules[__name__].tf
    import tensorpack

    return tensorpack


lazy_tf: Any = _Lazy(lambda: sys.modules[__name__].tf)
lazy_tensorpack: Any = _Lazy(_tensorpack)


def __getattr__(name: str) -> Any:
    if name != "tf":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    globals()["tf"] = _load()
    return globals()["tf"]
