"""Whose kernels compute on a CPU: TensorFlow's own, or oneDNN's. Decided before TensorFlow loads.

Since 2.9 TensorFlow computes convolutions with oneDNN on a CPU. That is faster, but rounds otherwise than
the TensorFlow 1.15 that the published maps come from. A rounding that puts one pre-activation on the other
side of zero switches a ReLU, and with it the gradient: at layers far from the output single places of a
map then move by up to 3 % of its range. TensorFlow's own kernels still round as they did in 1.15.
"""

import os

_SWITCH = "TF_ENABLE_ONEDNN_OPTS"


def use_reference_kernels():
    """Compute as TensorFlow 1.15 did, unless the environment says otherwise.

    Without effect once TensorFlow is loaded, and on a GPU.
    """
    os.environ.setdefault(_SWITCH, "0")
