"""The bare step trains exactly what the trainer's does, on the same batch and from the same weights.

In processes of their own, as every training of the tests: what oneDNN computes hangs by the last bit on
what a thread of the process did before, and sessions without threads of their own share them.
"""

import pytest
from own_process import call


@pytest.mark.parametrize("mode", ["vgg", "resnet50"])
def test_both_loops_train_the_same(mode, tmp_path):
    call("both_loops", "check_changes", mode, str(tmp_path))


def test_a_time_of_each_loop_a_round(tmp_path):
    call("both_loops", "check_times", str(tmp_path))
