"""The sections of the record, one module each, found by being in this folder.

A section is a module with

* ``measure(options) -> dict``: what it measured, for JSON; ``options`` is
  :class:`benchmarks.speed.options.Options`. The frame adds the command, the versions and the machine;
* optionally ``table(section) -> str``: the README's Markdown of the section as recorded.
"""

import importlib
import pkgutil


def names():
    """Sorted names of the sections there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name):
    """The section's module."""
    return importlib.import_module(f"{__name__}.{name}")
