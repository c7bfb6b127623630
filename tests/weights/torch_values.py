"""What the tests of PyTorch's files store."""

import numpy as np
import pytest

_RNG = np.random.RandomState(0)
VALUES = {
    "conv.weight": _RNG.standard_normal((4, 3, 3, 3)).astype("float32"),
    "conv.bias": np.arange(4, dtype="float32"),
    "bn.num_batches_tracked": np.array(7, "int64"),
    "empty": np.zeros((0, 3), "float32"),
}
NUMBERS = np.arange(24, dtype="float32")
legacy_or_not = pytest.mark.parametrize("legacy", [False, True])
