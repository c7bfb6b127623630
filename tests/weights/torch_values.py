"""What the tests of PyTorch's files store, and both formats they store it in."""

import numpy as np
import pytest
from foreign_files import write_legacy_pickle, write_zip_pickle

_RNG = np.random.RandomState(0)
VALUES = {
    "conv.weight": _RNG.standard_normal((4, 3, 3, 3)).astype("float32"),
    "conv.bias": np.arange(4, dtype="float32"),
    "bn.num_batches_tracked": np.array(7, "int64"),
    "empty": np.zeros((0, 3), "float32"),
}
NUMBERS = np.arange(24, dtype="float32")
FORMATS = [write_zip_pickle, write_legacy_pickle]
legacy_or_not = pytest.mark.parametrize("legacy", [False, True])
either_format = pytest.mark.parametrize("write", FORMATS)
