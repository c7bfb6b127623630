"""Families of Keras applications: no exception but ours, no constant map in silence; `make fuzz` tries all."""

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
    if (2, 15) > VERSION or (package == "keras" and (2, 16) > VERSION):
        pytest.skip("no such Keras")
    call("foreign.keras_applications", "check", package, name)
