"""Data sets that the project makes (drawn birds, photographs of five classes), and the bundled files:

a small trained checkpoint and sample images.
"""

import os
from typing import List

from dgl.data.image_io import list_images

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED_CHECKPOINT = os.path.join(_PACKAGE, "pretrained", "birds_vgg.npz")


def _images_folder() -> str:
    """``dgl/samples`` of an installed package, else ``images`` beside the package in a checkout."""
    installed = os.path.join(_PACKAGE, "samples")
    return installed if os.path.isdir(installed) else os.path.join(_PACKAGE, os.pardir, "images")


SHIPPED_IMAGES = os.path.normpath(_images_folder())


def sample_images() -> List[str]:
    """Paths of the bundled images, sorted by name.

    Raises:
        UserError: this copy of the package has none.
    """
    return list_images(SHIPPED_IMAGES)
