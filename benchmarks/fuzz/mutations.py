"""Seeded random changes to valid inputs, to test targets without a fuzzer."""

import random

from benchmarks.fuzz.target import SEPARATOR

_EDGES = (b"", b"\0", b"\xff", b"-1", b"nan", b"1e999", b"99999999999999999999", b"\n", SEPARATOR)


def mutations(seeds, tokens, count, seed=0):
    """Yields ``count`` inputs, each one of ``seeds`` with one to four changes.

    Args:
        seeds: list of bytes, at least one.
        tokens: sequence of bytes to put in.
        count: int.
        seed: int, of the random numbers.
    """
    rng = random.Random(seed)
    pieces = tuple(tokens) + _EDGES
    for index in range(count):
        data = bytearray(seeds[index % len(seeds)])
        for _ in range(rng.randint(1, 4)):
            _change(data, rng, pieces, seeds)
        yield bytes(data)


def _change(data, rng, pieces, seeds):
    at = rng.randint(0, len(data))
    end = min(len(data), at + rng.choice((1, 1, 2, 4, 8, 64)))
    kind = rng.randrange(6)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = rng.choice((0, 1, 127, 128, 255, 10, 32, 48, 57))
    elif kind == 2:
        del data[at:end]
    elif kind == 3:
        data[at:end] = rng.choice(pieces)
    elif kind == 4:
        data[at:at] = data[at:end] * rng.choice((1, 2, 50))
    else:
        other = rng.choice(seeds)
        begin = rng.randint(0, len(other))
        data[at:] = other[begin:] if rng.random() < 0.5 else b""
