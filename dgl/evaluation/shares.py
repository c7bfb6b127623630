"""How processors of a cluster are shared out among workers that each have to fit on one host."""

import math
from typing import Optional, Sequence, Tuple

# Ray takes fractions of a processor in steps of this size.
_STEP = 1e-4


def room(hosts: Sequence[Tuple[float, float]], cpus: float, gpus: float = 0) -> int:
    """int: how many workers fit, none of them over two hosts.

    Args:
        hosts: list of (CPUs, GPUs), numbers.
        cpus, gpus: what one worker takes, at least one of them more than 0.
    """
    return sum(min(_fits(own, cpus), _fits(own_gpus, gpus), _MANY) for own, own_gpus in hosts)


def fair_share(
    hosts: Sequence[Tuple[float, float]], workers: int, gpus: float = 0
) -> Optional[float]:
    """The most CPUs for each of some workers: a whole number, or a part of one if they are too many.

    Args:
        hosts: as :func:`room`.
        workers: int, their number.
        gpus: what each takes of GPUs.

    Returns:
        float, or ``None`` where GPUs or CPUs are lacking altogether.
    """
    most = int(max((own for own, _ in hosts), default=0))
    shares = [float(share) for share in range(most, 0, -1)]
    shares += [math.floor(1 / part / _STEP) * _STEP for part in range(2, workers + 1)]
    return next((share for share in shares if room(hosts, share, gpus) >= workers), None)


_MANY = 1 << 20


def _fits(own, wanted):
    return int(own / wanted + 1e-6) if wanted else _MANY
