"""Medians with their spread, of seconds and of ratios taken within one round.

The machine is not the same from minute to minute, so times of different rounds are never divided by one
another: a ratio is taken round by round, and what is reported is the median of the ratios.
"""

import numpy as np

AT_MOST, AT_LEAST = "at most", "at least"


def spread(values, digits=3):
    """Median, least and most of some numbers.

    Args:
        values: numbers (R,), R at least 1.
        digits: places after the point.

    Returns:
        ordered ``median``, ``least``, ``most``.

    Raises:
        ValueError: no number, NaN or infinity.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"expected finite numbers (R,), got {values}")
    three = np.median(values), values.min(), values.max()
    return {
        name: round(float(value), digits) for name, value in zip(("median", "least", "most"), three)
    }


def ratio(numerators, denominators, digits=3):
    """Spread of the ratios of two series, round by round.

    Args:
        numerators, denominators: positive numbers (R,), the same rounds.

    Returns:
        as :func:`spread`.

    Raises:
        ValueError: series of different lengths or with numbers that are not positive.
    """
    numerators, denominators = np.asarray(numerators, float), np.asarray(denominators, float)
    if numerators.shape != denominators.shape:
        raise ValueError(f"{numerators.shape} and {denominators.shape} rounds do not pair")
    if not (np.all(numerators > 0) and np.all(denominators > 0)):
        raise ValueError("times must be positive")
    return spread(numerators / denominators, digits)


def bounded(found, kind, bound):
    """A ratio together with the bound that is stated for its median.

    Args:
        found: as :func:`spread` returns it.
        kind: :data:`AT_MOST` or :data:`AT_LEAST`.
        bound: float.

    Returns:
        ordered ``kind``, ``bound`` and ``met``, a bool.
    """
    _check(kind)
    met = found["median"] <= bound if kind == AT_MOST else found["median"] >= bound
    return {"kind": kind, "bound": bound, "met": bool(met)}


def unmeasured(kind, bound):
    """The bound of a ratio that was not measured: nobody knows whether it is met.

    Args:
        kind, bound: as in :func:`bounded`.

    Returns:
        ordered ``kind``, ``bound`` and ``met``, ``None``.
    """
    _check(kind)
    return {"kind": kind, "bound": bound, "met": None}


def _check(kind):
    if kind not in (AT_MOST, AT_LEAST):
        raise ValueError(f"a bound is {AT_MOST!r} or {AT_LEAST!r}, got {kind!r}")
