"""Tensorpack's trainer for one of several processes: gradients averaged over all by Horovod.

Every rank computes the gradients of its slice of the batch; their mean is the gradient of the mean loss of
the whole batch, so a step is that of one process on the joint batch. The chief's initial values go to all.
"""

from typing import Any

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.distributed.ranks import Ranks
from dgl.utils.types import SessionConfig

from tensorpack.train import HorovodTrainer, SingleCostTrainer  # isort: skip


class RankTrainer(HorovodTrainer):
    """Tensorpack's, with a session that fits this project's machines.

    Tensorpack asks for GPU number ``local_rank`` whether or not there is one, and gives an operation one
    core; its own code for this also needs names that TensorFlow 2 does not have.
    """

    def __init__(self, ranks: Ranks, gpus: int):
        super().__init__(average=True)
        self._ranks = ranks
        self._gpus = gpus
        # Without it a weight may change while backpropagation to the layers below still reads it.
        self.GATE_GRADIENTS = True

    def initialize(self, session_creator: Any, session_init: Any) -> None:
        """Create the session and give every rank the chief's values; called once by tensorpack."""
        # The last operation of the graph: it takes in every variable that callbacks have made.
        self._num_global_variables = len(tf.global_variables())
        self._broadcast_op = self.hvd.broadcast_global_variables(0)
        share_machine(session_creator.config, self._ranks, self._gpus)
        SingleCostTrainer.initialize(self, session_creator, session_init)
        self.sess.run(self._broadcast_op)


def share_machine(config: SessionConfig, ranks: Ranks, gpus: int) -> SessionConfig:
    """Give a session this rank's share of the host: one GPU where there are any, its part of the cores.

    Args:
        config: ``tf.ConfigProto``, changed in place.
        ranks: :class:`~dgl.training.distributed.ranks.Ranks`.
        gpus: number of GPUs on this host.

    Returns:
        the config.

    Raises:
        UserError: fewer GPUs than ranks.
    """
    if gpus and gpus < ranks.local_size:
        raise UserError(
            f"{ranks.local_size} processes on this host, but {gpus} GPUs; expected no more processes than GPUs, or "
            "--gpu -1 for the CPU"
        )
    if gpus:
        config.gpu_options.visible_device_list = str(ranks.local_rank)
    else:
        config.device_count["GPU"] = 0
    # All of them for a process by itself (zero says so), an even part where several share the host.
    cores = ranks.share_of_cores() if ranks.local_size > 1 else 0
    config.intra_op_parallelism_threads = cores
    config.inter_op_parallelism_threads = cores
    return config


def make_horovod_trainer(ranks: Ranks, gpus: int = 0) -> RankTrainer:
    """The trainer of one rank, for ``launch_train_with_config``.

    Args:
        ranks: :class:`~dgl.training.distributed.ranks.Ranks` of more than one process, from ``find_ranks()``.
        gpus: number of GPUs on this host, from :func:`~dgl.utils.devices.select_gpus`.

    Returns:
        :class:`RankTrainer`; its ``is_chief`` keeps tensorpack's chief-only callbacks on rank 0.
    """
    return RankTrainer(ranks, gpus)
