"""The session of a frozen classifier."""

import pytest

from dgl.errors import UserError
from dgl.inference.precision import CPU_FLAGS, cpu_flags
from dgl.inference.session import inference_config, open_session
from dgl.tf_compat import tf


def test_an_operation_may_use_every_core():
    config = inference_config()
    assert config.intra_op_parallelism_threads == 0
    assert config.device_count["GPU"] == 0


def test_is_of_the_present_graph():
    with tf.Graph().as_default():
        one = tf.constant(1)
        with open_session() as session:
            assert session.run(one) == 1


@pytest.mark.skipif(any(flag in cpu_flags() for flag in CPU_FLAGS), reason="this CPU has bfloat16")
def test_a_precision_that_this_machine_lacks():
    with pytest.raises(UserError, match="--precision bf16: this CPU has neither"):
        open_session(precision="bf16")
