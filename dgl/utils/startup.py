"""Start a network quickly and with little memory: no garbage collection, freed memory given back.

A graph's constants are copied many times before its first run, one copy after another. glibc keeps what
is freed for later, in places that the next copy does not fit in; with Lite0 the peak of a command would
be 40 MB higher.
"""

import contextlib
import ctypes
import os
from typing import Iterator

from dgl.errors import is_script
from dgl.tf_compat import collection_paused

# From <malloc.h>: what is as large as the threshold is a mapping of its own and goes back when freed.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SMALL = 1 << 19
_LARGEST = 1 << 25  # to which glibc raises the threshold by itself


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """While a graph is built or run for the first time.

    How memory is given back is a setting of the whole process. It is left alone where another program
    imports this, and where it is not glibc's. Afterwards blocks of up to 32 MB are kept for the next run,
    which would otherwise have to be given its pages anew.
    """
    with collection_paused():
        _set_to(_SMALL)
        try:
            yield
        finally:
            _set_to(_LARGEST)


def _set_to(threshold: int) -> None:
    """Give blocks of ``threshold`` bytes and more back when they are freed, unless the user chose."""
    if (
        not is_script()
        or "MALLOC_MMAP_THRESHOLD_" in os.environ
        or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    ):
        return
    # Only glibc has it.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, threshold)
        mallopt(_TRIM_THRESHOLD, 2 * threshold)
