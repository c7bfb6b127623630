"""Import TensorFlow in graph mode (`tf.compat.v1` of 1.15, 2.15 and 2.21) and choose its CPU kernels.

No other module may import ``tensorflow``. Modules that build or run graphs use
``from dgl.tf_compat import tf``, which loads TensorFlow; tensorpack's graph parts are imported after it.
Modules that are imported before TensorFlow is needed (registries, flags) use
``from dgl.tf_compat import lazy_tf as tf``, which loads it at the first use. Importing this module alone
loads nothing. A program that has loaded TensorFlow before, and computes eagerly, keeps its mode and its
Keras, as far as it does not train with this package.

TensorFlow has two sets of CPU kernels, and the choice must be made before it loads. oneDNN's are faster
(VGG16: 1.2 to 1.4 times) but round differently from TensorFlow 1.15, which the published maps were made
with. A rounding difference that moves a pre-activation across zero switches its ReLU and changes the
gradient: at layers far from the output, single values of a map then change by up to 3 % of its range.
TensorFlow's own kernels still round as in 1.15.
"""

import contextlib
import gc
import os
import re
import sys
import tempfile
import warnings
from typing import Any, Callable, Iterator, Tuple

_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly")


def _installed_version() -> Tuple[int, int]:
    """Version of the installed TensorFlow as (major, minor), without loading it."""
    try:
        from importlib.metadata import PackageNotFoundError, version
    except ImportError:  # Python 3.7, whose newest TensorFlow is 2.11
        return (1, 15)
    for distribution in _DISTRIBUTIONS:
        try:
            numbers = re.match(r"(\d+)\.(\d+)", version(distribution))
        except PackageNotFoundError:
            continue
        if numbers:
            return int(numbers.group(1)), int(numbers.group(2))
    return (0, 0)


_LEGACY = "TF_USE_LEGACY_KERAS"
_KERNELS = "TF_ENABLE_ONEDNN_OPTS"


def use_reference_kernels() -> None:
    """Compute as TensorFlow 1.15 did, unless the environment variable is set.

    Has no effect on GPUs, or after TensorFlow is loaded.
    """
    os.environ.setdefault(_KERNELS, "0")


def reference_kernels() -> bool:
    """Whether TensorFlow 1.15's rounding is requested, so no arithmetic may be rearranged."""
    return os.environ.get(_KERNELS) == "0"


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Buffer what TensorFlow's C++ code prints while it loads, and show it only if loading fails.

    Its notes on CPU features and missing CUDA drivers ignore every log level and would bury the one
    line that a command prints about bad input.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except BaseException:
            buffer.seek(0)
            os.write(stderr, buffer.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Collect no garbage meanwhile: of a million new objects that stay, the collector finds none."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def _load() -> Any:
    if _is_guest():
        # Its mode and its Keras stay as they are: graphs here are built inside `tf.Graph().as_default()`.
        import tensorflow.compat.v1 as tf

        _load_legacy_layers(tf)
        return tf
    # From 2.16 on, `tf.layers` (and every tensorpack layer) needs the separate tf-keras, selected before
    # TensorFlow loads. Up to 2.15 the same variable makes TensorFlow import a module that does not exist.
    if _installed_version() >= (2, 16):
        os.environ.setdefault(_LEGACY, "1")
    else:
        os.environ.pop(_LEGACY, None)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault(_KERNELS, "1")  # oneDNN, unless the user or the program chose before
    with _quiet_stderr(), collection_paused():
        import tensorflow.compat.v1 as tf
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()
    warnings.filterwarnings("ignore", message=".*tf.layers.* is deprecated")
    # By Keras models in graph mode.
    warnings.filterwarnings("ignore", message=".*set_learning_phase")
    return tf


def _is_guest() -> bool:
    """Whether TensorFlow belongs to a program that loaded it before and computes eagerly."""
    loaded = sys.modules.get("tensorflow")
    return loaded is not None and bool(getattr(loaded, "executing_eagerly", bool)())


def _load_legacy_layers(tf: Any) -> None:
    """Take `tf.layers` from tf-keras, where it is needed, without switching `tf.keras` to it."""
    if _installed_version() < (2, 16):
        return
    before = os.environ.get(_LEGACY)
    os.environ[_LEGACY] = "1"
    try:
        _ = tf.layers.Conv2D  # decides at its first use
    finally:
        os.environ.pop(_LEGACY)
        if before is not None:
            os.environ[_LEGACY] = before


class _Lazy:
    """A module that is loaded when its first attribute is read."""

    def __init__(self, load: Callable[[], Any]):
        self._load = load

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._load(), name)
        setattr(self, name, value)
        return value


def _tensorpack() -> Any:
    _ = sys.modules[__name__].tf  # load and configure TensorFlow first
    import tensorpack

    return tensorpack


def saved_model_message() -> Any:
    """An empty message ``SavedModel`` of protocol buffers, the only one without a public name."""
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel()


def eager_tensorflow() -> Any:
    """TensorFlow 2 as it is, for a process of its own that reads models; ``tf`` then keeps its mode."""
    import tensorflow

    return tensorflow


def has_gradient(op: Any) -> bool:
    """Whether TensorFlow has a gradient for an operation, or knows it to be constant; no public name."""
    from tensorflow.python.framework import ops

    try:
        ops.get_gradient_function(op)
    except LookupError:
        return False
    return True


lazy_tf: Any = _Lazy(lambda: sys.modules[__name__].tf)
lazy_tensorpack: Any = _Lazy(_tensorpack)


def __getattr__(name: str) -> Any:
    if name != "tf":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    globals()["tf"] = _load()
    return globals()["tf"]
