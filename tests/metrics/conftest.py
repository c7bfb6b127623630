"""Loads the profile of the property tests."""

import hypothesis_profile  # noqa: F401
