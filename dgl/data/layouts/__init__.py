"""Layouts of data sets on disk: one file per layout, and the registry that reads any of them.

A file in this folder that calls :func:`~dgl.data.layouts.registry.register_layout` is found by itself;
the command line and the tests read the registry. Loaders read text files and list folders only: images
are decoded later, one at a time, by :func:`dgl.data.image_io.read_image`.
"""

import importlib
import pkgutil

from dgl.data.layouts.registry import (
    Layout,
    check_files,
    detect_layout,
    layout_names,
    load_data,
    register_layout,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(__name__ + "." + _module.name)

__all__ = ["Layout", "check_files", "detect_layout", "layout_names", "load_data", "register_layout"]
