"""Data sets that the project makes (drawn birds, photographs of five classes), and the bundled files:

a small trained checkpoint and sample images.
"""

import importlib.util
import os
from typing import List, Sequence

from dgl.data.image_files import list_images

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED_CHECKPOINT = os.path.join(_PACKAGE, "pretrained", "birds_vgg.npz")


# `dgl/samples` of an installed package, else `images` beside the package in a checkout.
_INSTALLED = os.path.join(_PACKAGE, "samples")
_CHECKOUT = os.path.join(os.path.dirname(_PACKAGE), "images")
SHIPPED_IMAGES = _INSTALLED if os.path.isdir(_INSTALLED) else _CHECKOUT


def sample_images() -> List[str]:
    """Paths of the bundled images, sorted by name; :class:`UserError` where this copy has none."""
    return list_images(SHIPPED_IMAGES)


# Authors as the addresses in scikit-learn's datasets/images/README.txt name them; CC BY 2.0.
_AUTHORS = {"flower.jpg": "vultilion", "china.jpg": "danielbuechele"}


def photographs() -> List[str]:
    """Paths of the two photographs that scikit-learn brings; empty where it is not installed."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.origin:
        return []
    folder = os.path.join(os.path.dirname(found.origin), "datasets", "images")
    paths = [os.path.join(folder, name) for name in _AUTHORS]
    return [path for path in paths if os.path.isfile(path)]


def photograph_credit(paths: Sequence[str]) -> str:
    """A line that names the authors of those of :func:`photographs` that are among ``paths``."""
    named = [os.path.basename(path) for path in photographs() if path in paths]
    if not named:
        return ""
    authors = ", ".join(f"{name} by {_AUTHORS[name]}" for name in named)
    return f"Photographs of scikit-learn: {authors} (flickr, CC BY 2.0)"
