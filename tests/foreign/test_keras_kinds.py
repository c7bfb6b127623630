"""Every kind of Keras model that people bring gives the maps of plain automatic differentiation."""

import pytest
from own_process import call

from dgl.tf_compat import tf

VERSION = tuple(int(part) for part in tf.VERSION.split(".")[:2])


@pytest.mark.slow
@pytest.mark.parametrize("package", ["tf_keras", "keras"])
def test_maps(package):
    if VERSION < (2, 15) or (package == "keras" and VERSION < (2, 16)):
        pytest.skip("no such Keras")
    call("foreign.keras_kinds", "check", package)
