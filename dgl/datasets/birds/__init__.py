"""The embedded data set: drawn birds of eight classes that differ only in the head.

It shows the problem of weakly supervised localization at the smallest cost: a classifier needs the head
alone, while the object is the whole bird. Written in the published layout of CUB-200-2011, with masks,
from one seed::

    python -m dgl.datasets.birds --out data/birds
"""

from dgl.datasets.birds.data_set import write_data_set, write_samples
from dgl.datasets.birds.drawing import BirdImage, render_bird
from dgl.datasets.birds.heads import CLASS_NAMES

__all__ = ["CLASS_NAMES", "BirdImage", "render_bird", "write_data_set", "write_samples"]
