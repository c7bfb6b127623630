"""Formats that labels are exported to: one file per format, and the registry that writes any of them.

A file in this folder that calls :func:`~dgl.labeling.formats.registry.register_format` is found by itself;
the command line and the tests read the registry.
"""

import importlib
import pkgutil

from dgl.labeling.formats.registry import (
    Export,
    ExportOptions,
    export,
    format_names,
    register_format,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(__name__ + "." + _module.name)

__all__ = ["Export", "ExportOptions", "export", "format_names", "register_format"]
