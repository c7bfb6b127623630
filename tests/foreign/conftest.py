"""Every test of this folder has a graph of its own."""

import pytest

from dgl.tf_compat import tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as made:
        yield made
