"""Whose kernels compute on a CPU: oneDNN's, or TensorFlow's own. Decided before TensorFlow loads.

TensorFlow brings two sets of kernels for the CPU. oneDNN's are the faster ones (VGG16: 1.2 to 1.4 times),
and TensorFlow takes them by itself only on some processors; here they are asked for on all. They round
otherwise than the TensorFlow 1.15 that the published maps come from. A rounding that puts one
pre-activation on the other side of zero switches a ReLU, and with it the gradient: at layers far from the
output single places of a map then move by up to 3 % of its range. TensorFlow's own kernels still round as
they did in 1.15.
"""

import os

_SWITCH = "TF_ENABLE_ONEDNN_OPTS"


def use_reference_kernels() -> None:
    """Compute as TensorFlow 1.15 did, unless the environment says otherwise.

    Without effect once TensorFlow is loaded, and on a GPU.
    """
    os.environ.setdefault(_SWITCH, "0")


def use_fast_kernels() -> None:
    """Compute with oneDNN, unless the environment or :func:`use_reference_kernels` says otherwise."""
    os.environ.setdefault(_SWITCH, "1")


def reference_kernels() -> bool:
    """Whether TensorFlow 1.15's rounding is asked for, so that no arithmetic may be rearranged."""
    return os.environ.get(_SWITCH) == "0"
