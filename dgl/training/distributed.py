"""Train in several processes with Horovod: their ranks, the values they agree on, the trainer of each.

A training started as several processes by ``horovodrun`` (or ``mpirun``, if Horovod is built with MPI) has
one rank per process; only rank 0, the chief, writes files. A single process does not load Horovod.
"""

import contextlib
import multiprocessing
import os
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

import numpy as np

from dgl.errors import UserError, first_line
from dgl.tf_compat import tf
from dgl.utils.devices import session_config
from dgl.utils.types import SessionConfig

from tensorpack.train import HorovodTrainer, SingleCostTrainer  # isort: skip

# Environment variables in which launchers give the number of processes. The first one that is set counts:
# inside a Slurm job, horovodrun's own variable is the right one.
LAUNCHERS = {
    "HOROVOD_SIZE": "horovodrun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun",
    "SLURM_STEP_NUM_TASKS": "srun",
}
_Values = TypeVar("_Values", int, Sequence[int])


class Ranks(NamedTuple):
    """This process among those that train together, on all hosts and on this one."""

    rank: int  # 0 to `size - 1`
    size: int  # number of processes
    local_rank: int  # rank among the processes of this host
    local_size: int  # number of processes on this host

    @property
    def chief(self) -> bool:
        """Whether this process writes logs, statistics and checkpoints."""
        return self.rank == 0

    @property
    def single(self) -> bool:
        """Whether this is the only process."""
        return self.size == 1

    def cores(self) -> int:
        """Cores of this host per process, at least 1."""
        return max(1, multiprocessing.cpu_count() // self.local_size)

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size}"


SINGLE = Ranks(0, 1, 0, 1)


def launched_size(environment: Mapping[str, str]) -> Tuple[int, Optional[str]]:
    """Number of processes that a launcher has started, and its name; (1, ``None``) without one."""
    for variable, launcher in LAUNCHERS.items():
        text = environment.get(variable)
        if text is None:
            continue
        if not text.isdecimal() or int(text) < 1:
            raise UserError(f"{variable}={text}: expected a number of processes")
        if int(text) > 1 or launcher == "horovodrun":
            return int(text), launcher
    return 1, None


def find_ranks(environment: Optional[Mapping[str, str]] = None) -> Ranks:
    """Connect this process to the others that a launcher started; without any it is :data:`SINGLE`.

    Raises:
        UserError: one of several processes, but Horovod cannot be loaded or does not reach the others.
    """
    size, launcher = launched_size(os.environ if environment is None else environment)
    if size == 1:
        return SINGLE
    launched = f"started by {launcher} as one of {size} processes"
    try:
        import horovod.tensorflow as hvd

        hvd.init()
    except Exception as error:  # not installed, does not load, an address or a port that is gone
        raise UserError(
            f"{launched}, but Horovod does not connect them ({first_line(error)}); expected horovodrun to "
            "start them together, with Horovod in this environment (docs/scaling.md)"
        ) from error
    if hvd.size() != size:
        raise UserError(
            f"{launched}, but Horovod counts {hvd.size()}; expected horovodrun to start them "
            "(docs/scaling.md): Horovod built with Gloo supports no other launcher"
        )
    return Ranks(hvd.rank(), size, hvd.local_rank(), hvd.local_size())


def from_chief(ranks: Ranks, value: _Values) -> _Values:
    """The chief's 64-bit int or list of such ints, on every rank; all ranks call it, in the same order.

    Raises:
        UserError: another process has ended.
    """
    if ranks.single:
        return value
    import horovod.tensorflow as hvd

    with tf.Graph().as_default(), explain_lost_rank(ranks):
        chief_value = hvd.broadcast(tf.constant(value, tf.int64), 0, name="dgl_from_chief")
        # Without GPUs: the trainer's session must be the first to use them.
        with tf.Session(config=session_config(gpus=0)) as session:
            received: _Values = np.asarray(session.run(chief_value)).tolist()
            return received


def require_same(ranks: Ranks, value: int, what: str) -> None:
    """Raise :class:`UserError` on ranks whose int is not the chief's; ``what`` is what it stands for."""
    if from_chief(ranks, value) != value:
        raise UserError(f"{ranks}: {what} is not that of rank 0; expected the same on every host")


@contextlib.contextmanager
def explain_lost_rank(ranks: Ranks) -> Iterator[None]:
    """Turn TensorFlow's error at the first exchange after another process has ended into one line."""
    try:
        yield
    except tf.errors.OpError as error:
        if ranks.single or "Horovod" not in str(error.message):
            raise
        raise UserError(
            f"{ranks}: another process of the run has ended and printed why; --resume continues from the "
            "last checkpoint"
        ) from error


class RankTrainer(HorovodTrainer):
    """Tensorpack's Horovod trainer with a session that shares the host with the other ranks.

    Every rank computes the gradients of its slice of the batch; their mean is the gradient of the whole
    batch, so a step is that of one process on the joint batch. All start from the chief's variables.

    Tensorpack's own ``initialize`` requires a GPU number ``local_rank``, gives each operation one core, and
    uses names that TensorFlow 2 does not have.
    """

    def __init__(self, ranks: Ranks, gpus: int) -> None:
        super().__init__(average=True)
        self._ranks = ranks
        self._gpus = gpus

    def initialize(self, session_creator: Any, session_init: Any) -> None:
        """Create the session and distribute the chief's variables; called once by tensorpack."""
        # Created last, so that it includes the variables of all callbacks.
        self._num_global_variables = len(tf.global_variables())
        self._broadcast_op = self.hvd.broadcast_global_variables(0)
        share_host(session_creator.config, self._ranks, self._gpus)
        SingleCostTrainer.initialize(self, session_creator, session_init)
        self.sess.run(self._broadcast_op)


def share_host(config: SessionConfig, ranks: Ranks, gpus: int) -> None:
    """Limit a session to this rank's part of the host: one of the ``gpus``, and some of the cores.

    Raises:
        UserError: fewer GPUs than ranks.
    """
    if gpus and gpus < ranks.local_size:
        raise UserError(
            f"{ranks.local_size} processes on this host, but {gpus} GPUs; expected no more processes than "
            "GPUs, or --gpu -1 for the CPU"
        )
    if gpus:
        config.gpu_options.visible_device_list = str(ranks.local_rank)
    else:
        config.device_count["GPU"] = 0
    cores = ranks.cores() if ranks.local_size > 1 else 0  # 0: all
    config.intra_op_parallelism_threads = cores
    config.inter_op_parallelism_threads = cores
