"""Path and flags of Chromium for the tests marked ``browser``; it makes no connections of its own."""

import os
import shutil

CHROMIUM = next(
    (
        path
        for path in ["/usr/bin/chromium"]
        + [shutil.which(name) for name in ("chromium", "chromium-browser")]
        if path and os.path.exists(path)
    ),
    None,
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
