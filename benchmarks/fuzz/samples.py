"""Sample files for seeds; the tests of the readers make them."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TESTS = os.path.join(ROOT, "tests")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)

import foreign_files  # noqa: E402
import gathered_results  # noqa: E402
from small_network import write_tensorflow  # noqa: E402

__all__ = ["ROOT", "foreign_files", "gathered_results", "write_tensorflow"]
