"""Who this process is among those that train together: ranks, as Horovod counts them.

A training started as several processes by ``horovodrun`` (or ``mpirun``, for a Horovod built with MPI) has
one rank a process; rank 0, the chief, is the only one that writes files. A process started by itself needs
no Horovod and does not load it.
"""

import contextlib
import multiprocessing
import os
from typing import Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

import numpy as np

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.utils.devices import session_config

# What launchers tell each process about how many they started. The first that is set counts: inside a
# Slurm job, horovodrun's own variable is the right one.
_SIZES = (
    ("HOROVOD_SIZE", "horovodrun"),
    ("OMPI_COMM_WORLD_SIZE", "mpirun"),
    ("PMI_SIZE", "mpirun"),
    ("SLURM_STEP_NUM_TASKS", "srun"),
)
_Values = TypeVar("_Values", int, Sequence[int])
_OTHERS_GONE = "Horovod"  # is in whatever TensorFlow raises once another process has ended


class Ranks(NamedTuple):
    """This process among all: its number and theirs, over all hosts and on this one.

    Attributes:
        rank: 0 to ``size - 1``.
        size: processes that train together.
        local_rank: number among those on this host.
        local_size: processes on this host.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int

    @property
    def chief(self) -> bool:
        """Whether this process writes the files: logs, statistics, checkpoints."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process; then nothing asks for Horovod."""
        return self.size == 1

    def share_of_cores(self) -> int:
        """This process's part of the machine's cores, at least 1."""
        return max(1, multiprocessing.cpu_count() // self.local_size)

    def __str__(self):
        return f"rank {self.rank} of {self.size}"


ALONE = Ranks(0, 1, 0, 1)


def launched_size(environment: Mapping[str, str]) -> Tuple[int, Optional[str]]:
    """How many processes a launcher says it has started.

    Args:
        environment: mapping of variable names to values.

    Returns:
        (int, name of the launcher), or (1, ``None``) where there is none.

    Raises:
        UserError: the variable is not a number.
    """
    for variable, launcher in _SIZES:
        text = environment.get(variable)
        if text is None:
            continue
        try:
            size = int(text)
        except ValueError:
            size = 0
        if size < 1:
            raise UserError(f"{variable}={text}: expected a number of processes")
        if size > 1 or launcher == "horovodrun":
            return size, launcher
    return 1, None


def find_ranks(environment: Optional[Mapping[str, str]] = None) -> Ranks:
    """Find out whether this process is one of several, and join them.

    Args:
        environment: mapping of variable names to values, by default that of the process.

    Returns:
        :class:`Ranks`; :data:`ALONE`, without loading Horovod, where no launcher started several.

    Raises:
        UserError: started as one of several, but Horovod is not installed, or cannot be loaded, or does
            not find the others.
    """
    size, launcher = launched_size(os.environ if environment is None else environment)
    if size == 1:
        return ALONE
    launched = f"started by {launcher} as one of {size} processes"
    hvd = _load_horovod(launched)
    try:
        hvd.init()
    except Exception as error:  # the launcher's address book is gone, a port is closed, ...
        raise UserError(
            "{}, which do not reach each other ({}); expected them to be started together by "
            "horovodrun".format(launched, str(error).split("\n")[0])
        ) from error
    if hvd.size() != size:
        raise UserError(
            f"{launched}, but Horovod counts {hvd.size()}; expected horovodrun to start them (docs/scaling.md), for "
            "Horovod built with Gloo knows no other launcher"
        )
    return Ranks(hvd.rank(), size, hvd.local_rank(), hvd.local_size())


def _load_horovod(launched):
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        missing = (getattr(error, "name", None) or "").split(".")[0] == "horovod"
        raise UserError(
            "{}, but Horovod {}; expected it in this environment (docs/scaling.md tells how to "
            "install it)".format(
                launched, "is not installed" if missing else f"does not load ({error})"
            )
        ) from error
    return hvd


def agree_on(ranks: Ranks, value: _Values) -> _Values:
    """The chief's value, for every rank; all have to call it, in the same order.

    Args:
        ranks: :class:`Ranks`.
        value: int of 64 bits, or a sequence of such ints, as many on every rank.

    Returns:
        int, or a list of ints for a sequence.

    Raises:
        UserError: another process ended before it could tell.
    """
    if ranks.alone:
        return value
    import horovod.tensorflow as hvd

    with tf.Graph().as_default(), others_may_end(ranks):
        chief_s = hvd.broadcast(tf.constant(value, tf.int64), 0, name="dgl_agree_on")
        # A session that touches no GPU: the trainer's own has to be the first that does.
        with tf.Session(config=session_config(gpus=0)) as session:
            return np.asarray(session.run(chief_s)).tolist()


def expect_alike(ranks: Ranks, value: int, what: str) -> None:
    """Check that a number is the chief's on every rank; all have to call it, in the same order.

    Args:
        ranks: :class:`Ranks`.
        value: int of 64 bits.
        what: what it stands for, such as ``"the train list"``.

    Raises:
        UserError: it is another one here than on the chief.
    """
    if agree_on(ranks, value) != value:
        raise UserError(f"{ranks}: {what} is not that of rank 0; expected the same on every host")


@contextlib.contextmanager
def others_may_end(ranks: Ranks) -> Iterator[None]:
    """Turn TensorFlow's account of a lost rank into one line.

    When a process of the run ends, the others learn it at their next exchange, from an error inside a
    ``session.run``.

    Raises:
        UserError: in place of that error.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if ranks.alone or _OTHERS_GONE not in str(error.message):
            raise
        raise UserError(
            f"{ranks}: another process of the run has ended, expected it to last; what it printed tells "
            "why, and --resume goes on from the last checkpoint"
        ) from error
