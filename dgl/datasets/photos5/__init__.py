"""The photographs: apple, banana, kangaroo, orange and raccoon, made from three public repositories.

A small data set of real images with the boxes of their objects, made by a fixed rule from clones of
datitran/raccoon_dataset, experiencor/kangaroo and narumiruna/fruit-images-for-object-detection::

    python -m dgl.datasets.photos5 --raccoon DIR --kangaroo DIR --fruit DIR --out data/photos5
"""

from dgl.datasets.photos5.data_set import Result, write_data_set
from dgl.datasets.photos5.sources import CLASS_NAMES, class_index_of, split_of

__all__ = ["CLASS_NAMES", "Result", "class_index_of", "split_of", "write_data_set"]
