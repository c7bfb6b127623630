"""Sample files for seeds, written by helpers of the tests."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TESTS = os.path.join(ROOT, "tests")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)

import foreign_files
import made_results
from networks import write_tensorflow

__all__ = ["ROOT", "foreign_files", "made_results", "write_tensorflow"]
