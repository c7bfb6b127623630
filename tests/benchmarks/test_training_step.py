"""The bare step trains exactly what the trainer's does, on the same batch and from the same weights.

They run in separate processes: the last bit of what oneDNN computes depends on what a thread did before,
and sessions share threads.
"""

import pytest
from own_process import call

pytestmark = pytest.mark.slow


def test_both_loops_train_the_same(tmp_path):
    call("both_loops", "check_changes", str(tmp_path))


def test_every_round_times_each_loop(tmp_path):
    call("both_loops", "check_times", str(tmp_path))
