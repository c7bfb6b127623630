"""Data sets in their published layouts, images, and the views of them that networks take.

:func:`load_data` reads a data set in any layout of :mod:`dgl.data.layouts`, and :func:`read_image` decodes
one of its images.
"""

from dgl.data.image_files import list_images
from dgl.data.image_io import read_image
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
