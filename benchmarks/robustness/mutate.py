"""Damage one file of a valid input: truncate it, flip bits, zero it, replace it by something else."""

import os
import zlib

import numpy as np

from .case import ANY, GOOD, REFUSED, Case

_CUTS = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
_TAILS = (1, 2, 9)


def damaged_bytes(data, seed_text, flips=8):
    """Yields ``(name, bytes)``, the same at every call."""
    rng = np.random.RandomState(zlib.crc32(seed_text.encode("utf-8", "surrogateescape")))
    size = len(data)
    for share in _CUTS:
        yield f"cut to {share:g}", data[: int(size * share)]
    for tail in _TAILS:
        if tail < size:
            yield f"without its last {tail}", data[:-tail]
    for number in range(flips if size else 0):
        changed = np.frombuffer(data, np.uint8).copy()
        # Headers are where damage tells most, so that half of the flips are there.
        room = min(size, 64) if number % 2 else size
        for place in rng.randint(0, room, 1 + number // 2):
            changed[place] ^= 1 << rng.randint(0, 8)
        yield f"flips {number}", changed.tobytes()
    for where, begin, end in (
        ("in front", 0, 16),
        ("inside", size // 2, size // 2 + 64),
        ("at the end", max(0, size - 32), size),
    ):
        yield "zeros " + where, data[:begin] + b"\0" * (end - begin) + data[end:]
    yield "all zeros", b"\0" * size
    yield "twice", data + data
    middle = size // 2
    noise = rng.randint(0, 256, 37).astype(np.uint8).tobytes()
    yield "noise inside", data[:middle] + noise + data[middle:]
    yield "noise instead", rng.randint(0, 256, max(size, 64)).astype(np.uint8).tobytes()
    yield "largest numbers", data[:8] + b"\xff" * 8 + data[16:]


def make_folder(path, outside):
    os.makedirs(path)


def make_fifo(path, outside):
    os.mkfifo(path)


def _link(target):
    def make(path, outside):
        os.symlink(target, path)

    return make


def link_to_outside(data):
    """A link to a sound copy outside of the data folder, as sets on clusters are put together."""

    def make(path, outside):
        copy = os.path.join(outside, os.path.basename(path))
        with open(copy, "wb") as stream:
            stream.write(data() if callable(data) else data)
        os.symlink(copy, path)

    return make


def make_self_link(path, outside):
    os.symlink(os.path.basename(path), path)


# What stands where a file should be. A link to the file itself is followed, so that it is sound.
REPLACEMENTS = (
    ("a folder", make_folder),
    ("a pipe", make_fifo),
    ("/dev/zero", _link("/dev/zero")),
    ("/dev/tty", _link("/dev/tty")),
    ("a dangling link", _link("nowhere")),
    ("a link to itself", make_self_link),
)


def around(kind, name, files, targets, outcome=GOOD, flips=8, slow=False):
    """The sound input and everything that can happen to some of its files.

    Args:
        kind, name: of the cases.
        files: relative path -> bytes of the sound input.
        targets: the files that are damaged, one at a time.
        outcome: of the sound input.
        flips: seeded variants with flipped bits, a file.
        slow: whether all but the sound one are left to the full run.

    Yields:
        :class:`Case`.
    """
    yield Case(kind, name, files, outcome)
    for target in targets:
        where = f"{name} | {target} | "
        for what, data in damaged_bytes(files[target], where, flips):
            yield Case(kind, where + what, dict(files, **{target: data}), ANY, slow=slow)
        for what, make in REPLACEMENTS:
            rest = {key: value for key, value in files.items() if key != target}
            yield Case(kind, where + what, rest, ANY, {target: make}, slow)
        link = {target: link_to_outside(files[target])}
        yield Case(kind, where + "a link out of the folder", files, outcome, link, slow)
        rest = {key: value for key, value in files.items() if key != target}
        yield Case(kind, where + "missing", rest, ANY, slow=slow)


def refused(kind, name, files, nodes=None, slow=False):
    """A case that must not be read."""
    return Case(kind, name, files, REFUSED, nodes or {}, slow)
