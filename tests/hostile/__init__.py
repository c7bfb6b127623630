"""Bad input of every kind, made on the spot, and what runs it through every loader and every script."""

import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TESTS)
# The tests' own helpers, however this package is imported.
for _folder in (
    ROOT,
    TESTS,
    os.path.join(TESTS, "data"),
    os.path.join(TESTS, "evaluation"),
):
    if _folder not in sys.path:
        sys.path.append(_folder)
