"""Weight file formats: one file a format, registered by a decorator.

A file in this folder that calls :func:`~dgl.weights.formats.registry.register_format` is found by itself.
"""

import importlib
import pkgutil

from dgl.weights.formats.registry import FORMATS, Format, find_format, register_format

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(__name__ + "." + _module.name)

__all__ = ["FORMATS", "Format", "find_format", "register_format"]
