"""Processes of contenders, one module per library: `python -m benchmarks.speed.workers NAME`.

A module has a class ``Library`` with

* ``Library(setup)``: ``setup`` is :class:`Setup`;
* ``prepare(case, images, classes) -> call``: everything that is done once; ``call()`` does what is timed,
  from the uint8 batch to the maps, and returns :class:`Outcome`;
* ``configuration() -> str``: what was chosen for speed, in a few words, and where there is a choice
  ``chosen``, a dict.
"""

from typing import Any, Dict, List, NamedTuple, Optional

import numpy as np


class Setup(NamedTuple):
    """What a library is given once.

    Attributes:
        weights: path of the checkpoint.
        images: path of the images, an .npy file (N, S, S, 3), uint8 BGR.
        threads: how many to compute with.
        mode: backbone whose weights they are.
        chosen: what an earlier process of the library chose for speed, which then is not tried again.
    """

    weights: str
    images: str
    threads: int
    mode: str = "vgg"
    chosen: Optional[Dict[str, str]] = None


class Case(NamedTuple):
    """One thing to measure.

    Attributes:
        library: module of the package.
        what: ``"forward"``, or the method's name in the library's module.
        layers: names of the layers in one call.
        batch: images in one call.
        options: more that the library's module understands.
    """

    library: str
    what: str
    layers: List[str]
    batch: int
    options: Dict[str, Any] = {}  # noqa: RUF012


class Outcome(NamedTuple):
    """What one call made.

    Attributes:
        maps: (N, H, W), the first layer's maps; ``None`` for a forward pass.
        logits: (N, classes), where the library shows them.
        outside: seconds of the call that went into neither pass, where that can be told.
    """

    maps: Optional[np.ndarray] = None
    logits: Optional[np.ndarray] = None
    outside: Optional[float] = None
