"""The data room: data sets in their published layouts, images, and the geometry of both.

A format is one module with a ``detect`` and a ``load`` function; :mod:`dgl.data.layouts` holds the
registry of them, and :func:`load_data` is the one call a script needs. A loader reads text files
and folders only: images are decoded later, one at a time, by :func:`read_image`.
"""

from dgl.data.image_io import list_images, read_image
from dgl.data.layouts import check_files, detect_layout, load_data
from dgl.data.sample import DataSet, Sample

__all__ = [
    "DataSet",
    "Sample",
    "check_files",
    "detect_layout",
    "list_images",
    "load_data",
    "read_image",
]
