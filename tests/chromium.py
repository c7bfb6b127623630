"""Chromium for the tests marked ``browser``: path, flags, marks; it makes no connections of its own."""

import shutil

import pytest

_NAMES = ("/usr/bin/chromium", "chromium", "chromium-browser")
CHROMIUM = next((path for path in map(shutil.which, _NAMES) if path), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
