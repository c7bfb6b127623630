"""What the tests of Keras's files store."""

import h5py
import numpy as np

_RNG = np.random.RandomState(0)
KERNEL = _RNG.standard_normal((3, 3, 3, 4)).astype("float32")
LAYERS = [
    ("input_1", []),
    ("block1_conv1", [("kernel", KERNEL), ("bias", np.arange(4, dtype="float32"))]),
    ("a_norm", [("gamma", np.ones(4, "float32")), ("moving_variance", np.full(4, 2, "float32"))]),
]
VALUES = {f"{layer}/{name}": array for layer, weights in LAYERS for name, array in weights}


def write_by_hand(path, fill):
    """A file with the one weight ``conv/kernel``, which ``fill(group)`` makes in the group ``conv``."""
    with h5py.File(str(path), "w") as stream:
        stream.attrs["layer_names"] = np.array([b"conv"])
        group = stream.create_group("conv")
        group.attrs["weight_names"] = np.array([b"kernel:0"])
        fill(group)
    return path
