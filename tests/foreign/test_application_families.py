"""Families of Keras applications: no foreign exception, no silent constant map; `make fuzz` tries all."""

import pytest
from own_process import call

from dgl.tf_compat import tf

VERSION = tuple(int(part) for part in tf.VERSION.split(".")[:2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "package, name",
    [("keras", "MobileNetV3Small"), ("tf_keras", "RegNetX002"), ("tf_keras", "MobileNetV2")],
)
def test_a_family(package, name):
    if VERSION < (2, 15) or (package == "keras" and VERSION < (2, 16)):
        pytest.skip("no such Keras")
    call("foreign.application_families", "check", package, name)
