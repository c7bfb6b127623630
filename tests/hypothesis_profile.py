"""Hypothesis profiles: few fixed examples, or many random ones.

HYPOTHESIS_PROFILE=long python -m pytest tests/properties tests/data tests/metrics
"""

import os
import tempfile

try:
    from hypothesis import HealthCheck, settings
    from hypothesis.configuration import set_hypothesis_home_dir
except ImportError:  # every module here skips itself
    settings = None

if settings is not None:
    _ALIKE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("suite", max_examples=60, derandomize=True, database=None, **_ALIKE)
    settings.register_profile("long", max_examples=1000, print_blob=True, **_ALIKE)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
    # Its tables of characters and examples have no place in the project's folder.
    set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "hypothesis-home"))
