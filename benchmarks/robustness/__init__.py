"""A generated corpus of damaged and hostile files, run through every reader and command."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESTS = os.path.join(ROOT, "tests")
# The tests have the writers of sound files, which the corpus damages.
for _folder in (ROOT, TESTS, os.path.join(TESTS, "data"), os.path.join(TESTS, "evaluation")):
    if _folder not in sys.path:
        sys.path.append(_folder)
