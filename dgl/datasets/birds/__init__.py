"""Drawn birds of eight classes that differ only in the head, with exact boxes and masks.

They show the problem of weakly supervised localization at the smallest cost: a classifier needs the
head alone, while the object is the whole bird. Written in the published layout of CUB-200-2011, from one
seed::

    dgl make-data birds --out data/birds
"""

from dgl.datasets.birds.anatomy import CLASS_NAMES
from dgl.datasets.birds.data_set import write_data_set, write_samples
from dgl.datasets.birds.render import BirdImage, render_bird

__all__ = ["CLASS_NAMES", "BirdImage", "render_bird", "write_data_set", "write_samples"]
