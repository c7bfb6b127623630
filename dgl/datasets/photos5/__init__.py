"""Photographs of apples, bananas, kangaroos, oranges and raccoons, from three public repositories.

A small data set of real images with the boxes of their objects, made by a fixed rule from clones of
datitran/raccoon_dataset, experiencor/kangaroo and narumiruna/fruit-images-for-object-detection::

    dgl make-data photos5 --raccoon DIR --kangaroo DIR --fruit DIR --out data/photos5
"""

from dgl.datasets.photos5.data_set import (
    CLASS_NAMES,
    Result,
    class_index_of,
    split_of,
    write_data_set,
)

__all__ = ["CLASS_NAMES", "Result", "class_index_of", "split_of", "write_data_set"]
