"""Call a reader and record its time, memory, opened files and outcome."""

import contextlib
import os
import re
import resource
import signal
import sys
import time
from typing import NamedTuple

from dgl.errors import UserError

SECONDS = 10  # a call
SECONDS_LARGEST = 60  # one with the largest inputs that are read
MEGABYTES = 2000  # that a call may add to what the process has
CANARY = "CANARY"

READ, REFUSED = "read", "refused"
# Opening one of these is a fault by itself, whatever comes of it.
_FORBIDDEN = ("/dev/zero", "/dev/tty", "/etc/passwd", "/etc/hostname")
_RAW = re.compile("[\x00-\x1f\x7f-\x9f\u202e]")
# Where messages are made printable by the exception itself, every one of them has to be.
_ONE_LINE = "\n" not in str(UserError("a\nb"))

_opened = None


class Hang(BaseException):
    """The time is up; no ``except Exception`` swallows it."""


class Outcome(NamedTuple):
    """How a call ended.

    Attributes:
        how: ``"read"``, ``"refused"`` (:class:`UserError`), or what is wrong with it.
        message: str, of the error.
        seconds, megabytes: what it took.
    """

    how: str
    message: str
    seconds: float
    megabytes: float

    @property
    def is_fault(self):
        return self.how not in (READ, REFUSED)


def _hook(event, arguments):
    if event == "open" and _opened is not None and isinstance(arguments[0], (str, bytes)):
        _opened.append((os.fsdecode(arguments[0]), arguments[2]))


if hasattr(sys, "addaudithook"):  # Python 3.8
    sys.addaudithook(_hook)


def _status(key):
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024.0
    return 0.0


def _reset_peak():
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")


@contextlib.contextmanager
def time_limit(seconds):
    """Context that raises :class:`Hang` when it takes longer, again and again."""

    def stop(number, frame):
        raise Hang(f"more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def memory_limit(megabytes):
    """Context in which the process cannot have more than so much beyond what it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    room = int((_status("VmSize") + megabytes) * 1024 * 1024)
    resource.setrlimit(resource.RLIMIT_AS, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _trespass(folder, outside, may_follow):
    """What was opened that is not below the case's folder, or ``None``."""
    folder, outside = os.path.realpath(folder), os.path.realpath(outside)
    for path, flags in _opened or ():
        real = os.path.realpath(path)
        if real in _FORBIDDEN:
            return f"opened {real}"
        if real.startswith(outside + os.sep) and not may_follow:
            return f"opened {os.path.basename(real)} outside"
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not real.startswith((folder + os.sep, "/proc/", "/dev/null")):
            return f"wrote {real}"
    return None


def attempt(function, folder, outside, may_follow=False, seconds=SECONDS, megabytes=MEGABYTES):
    """Call ``function(folder)`` under watch, in the main thread.

    Args:
        function: callable of the folder.
        folder: str, the case's own; the working folder is beside it.
        outside: str, the folder that only links made by the owner of the data may lead to.
        may_follow: bool, whether there is such a link.

    Returns:
        :class:`Outcome`.
    """
    global _opened
    _reset_peak()
    before, started = _status("VmRSS"), time.time()
    message, how = "", READ
    _opened = []
    try:
        with time_limit(seconds):
            function(folder)
    except UserError as error:
        how, message = REFUSED, str(error)
    except Hang as error:
        how = message = f"hang: {error}"
    except BaseException as error:
        how = f"traceback: {type(error).__name__}"
        message = f"{how}: {str(error)[:300]}"
    took, peak = time.time() - started, _status("VmHWM") - before
    trespass, _opened = _trespass(folder, outside, may_follow), None
    if how in (READ, REFUSED):
        if trespass:
            how = trespass
        elif os.path.exists(CANARY):
            how = "ran a program"
        elif peak > megabytes:
            how = f"memory: {peak:.0f} MB"
        elif took > seconds:
            how = f"time: {took:.1f} s"
        elif how == REFUSED and _ONE_LINE and _RAW.search(message):
            how = "raw message"
        elif how == REFUSED and len(message) > 4000:
            how = f"message of {len(message)} characters"
    if os.path.exists(CANARY):
        os.remove(CANARY)
    return Outcome(how, message, took, max(0.0, peak))
