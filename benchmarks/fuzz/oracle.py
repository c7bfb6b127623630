"""Decide whether a run is a finding: no result or one-line error in time, or something was executed."""

import sys
import time
import traceback

from benchmarks.fuzz.target import check_refusal
from dgl.errors import UserError

SLOW = 5.0  # seconds of the processor for one input; hangs are up to the driver
# Python's own name for what no reader of data has to do.
_FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen",
              "socket.connect", "socket.getaddrinfo", "ctypes.dlopen")  # fmt: skip

_ran = []
_watching = []


def canary(*_):
    """What hostile seeds would have called; a call is a finding."""
    _ran.append("canary")
    return {}


def watch():
    """From now on also note what Python itself reports of programs and pickles (Python 3.8)."""

    def hook(event, _):
        if _watching and event in _FORBIDDEN:
            _ran.append(event)

    if hasattr(sys, "addaudithook"):
        sys.addaudithook(hook)


def examine(target, data, folder):
    """Run one input.

    Args:
        target: :class:`~benchmarks.fuzz.target.Target`.
        data: bytes.
        folder: str, for its files.

    Returns:
        ``(kind, details)`` of a finding, ``kind`` being the same for the same fault, or ``None``.
    """
    del _ran[:]
    _watching.append(target.name)
    begin = time.process_time()
    found = None
    try:
        target.run(data, folder)
    except UserError as error:
        try:
            check_refusal(error)
        except AssertionError as problem:
            found = _describe(problem.with_traceback(error.__traceback__))
    except Exception as error:
        found = _describe(error)
    finally:
        _watching.pop()
    seconds = time.process_time() - begin
    if _ran:
        return f"ran {_ran[0]}", f"the input made the reader run {_ran}"
    if found is None and seconds > SLOW:
        return "slow", f"{seconds:.1f} s for one input"
    return found


def _describe(error):
    """Kind (the exception and the innermost place in the package) and the whole story."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/dgl/" in f.filename]
    if not own:
        return _story(type(error).__name__, error)
    place = "{}:{}".format(own[-1].filename.rpartition("/dgl/")[2], own[-1].name)
    kind = f"{type(error).__name__} in {place}"
    return _story(kind, error)


def _story(kind, error):
    return kind, "".join(traceback.format_exception(type(error), error, error.__traceback__))
