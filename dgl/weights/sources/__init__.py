"""Names in published ImageNet weights, one module a publisher, and how they map to this project's."""

from typing import Optional, Tuple

from dgl.backbones.registry import Shapes
from dgl.weights.sources import keras, slim, tensorpack, torchvision
from dgl.weights.sources.base import Piece, Source

SOURCES = (tensorpack.SOURCE, slim.SOURCE, keras.SOURCE, torchvision.SOURCE)


def recognize(shapes: Shapes) -> Optional[Tuple[Source, Tuple[str, ...]]]:
    """Whose weights these are, by the names.

    Args:
        shapes: ordered variable name -> shape of a checkpoint.

    Returns:
        (:class:`Source`, modes that the names fit, at least one), or ``None``.
    """
    for source in SOURCES:
        modes = source.find_modes(shapes)
        if modes:
            return source, modes
    return None


__all__ = ["SOURCES", "Piece", "Source", "recognize"]
