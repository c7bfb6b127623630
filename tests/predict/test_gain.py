"""What bfloat16 brings: a quotient of times, of two convolutions that are what they should be."""

import math

import numpy as np
import pytest

from dgl.predict import precision as gain
from dgl.predict.precision import has_bfloat16_kernels
from dgl.tf_compat import tf

needs_kernels = pytest.mark.skipif(
    not has_bfloat16_kernels(), reason="this TensorFlow has no bfloat16"
)


@needs_kernels
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_the_convolution_is_computed_in_its_type(dtype):
    with tf.Graph().as_default(), tf.Session() as session:
        operation = gain.convolution(dtype)
        session.run(tf.global_variables_initializer())
        found = session.run(tf.cast(operation.outputs[0], tf.float32))
    assert operation.type == "Conv2D"
    assert operation.get_attr("T") == dtype
    # Ones all over: nine places of 256 channels in the middle, four at a corner.
    np.testing.assert_array_equal(found[:, 9, 9], 9 * 256)
    np.testing.assert_array_equal(found[:, 0, 0], 4 * 256)


@needs_kernels
def test_the_shortest_times_are_divided(monkeypatch):
    times = iter([9.0, 9.0, 3.0, 4.0, 2.0, 5.0, 3.0, 8.0, 7.0, 6.0])
    monkeypatch.setattr(gain, "_seconds", lambda session, operation: next(times))
    assert gain.bfloat16_gain() == 2.0 / 4.0
    assert not list(times)


@needs_kernels
def test_on_this_machine():
    before = tf.get_default_graph()
    operations = len(before.get_operations())
    found = gain.bfloat16_gain()
    assert 0 < found < math.inf
    assert tf.get_default_graph() is before
    assert len(before.get_operations()) == operations
