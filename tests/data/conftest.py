"""Profile of the tests by properties, and an image."""

import hypothesis_profile  # noqa: F401
import numpy as np
import pytest


@pytest.fixture
def rgb():
    """A smooth image, 64 x 40, whose corners differ, so that every encoder keeps it and turning shows."""
    x, y = np.linspace(0, 200, 64)[None], np.linspace(0, 150, 40)[:, None]
    return np.stack([x + 0 * y, y + 0 * x, 255 - x / 2 - y / 2], axis=2).astype(np.uint8)
