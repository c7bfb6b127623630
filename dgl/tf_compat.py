"""The one place where TensorFlow is imported.

Graph mode through ``tf.compat.v1`` on TF 1.15, 2.15 and 2.21. Every other module says
``from dgl.tf_compat import tf``; nothing else may import ``tensorflow``, and tensorpack's graph parts
are imported after this module.
"""

import contextlib
import os
import re
import tempfile
import warnings

from dgl.arithmetic import use_fast_kernels

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


# From 2.16 on, `tf.layers` (and so every tensorpack layer) needs the separate tf-keras, which has to be
# chosen before TensorFlow loads. Up to 2.15 the same variable makes TensorFlow look for a module that
# is not there.
if _installed_version() >= (2, 16):
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
else:
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
use_fast_kernels()


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


with _quiet_stderr():
    import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()
warnings.filterwarnings("ignore", message=".*tf.layers.* is deprecated")
# What Keras's own models need in graph mode.
warnings.filterwarnings("ignore", message=".*set_learning_phase")

__all__ = ["tf"]
