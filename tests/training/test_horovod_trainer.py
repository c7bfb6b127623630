"""How processes on one host share it; what they compute is in tests/training/test_horovod.py."""

import pytest

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.distributed import ranks
from dgl.training.distributed.horovod import share_machine
from dgl.training.distributed.ranks import Ranks


@pytest.mark.parametrize("local, cores", [(1, 0), (2, 3), (4, 1), (12, 1)])
def test_a_session_gets_its_share_of_the_cores(monkeypatch, local, cores):
    monkeypatch.setattr(ranks.multiprocessing, "cpu_count", lambda: 6)
    config = share_machine(tf.ConfigProto(), Ranks(1, 16, 0, local), 0)
    assert config.intra_op_parallelism_threads == cores
    assert config.inter_op_parallelism_threads == cores


def test_without_gpus_none_is_asked_for():
    config = share_machine(tf.ConfigProto(), Ranks(3, 4, 3, 4), 0)
    assert config.gpu_options.visible_device_list == ""
    assert config.device_count["GPU"] == 0


def test_each_process_of_a_host_has_its_gpu():
    config = share_machine(tf.ConfigProto(), Ranks(5, 8, 1, 4), 4)
    assert config.gpu_options.visible_device_list == "1"
    assert "GPU" not in config.device_count


def test_more_processes_than_gpus_are_refused():
    with pytest.raises(UserError, match="4 processes on this host, but 2 GPUs; expected"):
        share_machine(tf.ConfigProto(), Ranks(5, 8, 1, 4), 2)
