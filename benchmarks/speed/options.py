"""Options of a measurement, shared by all sections."""

from typing import NamedTuple

ROUNDS = 7
QUICK_ROUNDS = 2


class Options(NamedTuple):
    """How to measure.

    Attributes:
        rounds: times that every contender is measured, in turn with the others.
        threads: processor cores, and threads of each framework.
        quick: whether figures matter less than that everything runs.
    """

    rounds: int = ROUNDS
    threads: int = 2
    quick: bool = False
