"""All cases, and the sample of them that the tests run."""

import zlib

from . import checkpoints, data_sets, images, maps, results

_MODULES = (images, data_sets, maps, checkpoints, results)


def all_cases():
    """Yields every :class:`~benchmarks.robustness.case.Case`, in the same order at every call."""
    for module in _MODULES:
        yield from module.cases()


def sample(cases, share=6):
    """The part that the tests run: every sound or surely bad input and one in ``share`` of the rest."""
    for case in cases:
        if case.slow:
            continue
        if case.outcome == "any" and zlib.crc32(case.name.encode("utf-8")) % share:
            continue
        yield case
