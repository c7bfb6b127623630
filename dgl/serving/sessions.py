"""What the page remembers of each visitor: the image, what the classifier says of it, and its maps."""

import threading
import time
from collections import OrderedDict
from typing import Any, Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from dgl.data.views import demo_input
from dgl.errors import UserError

_SHOWN_SIDE = 640
_MOST_BYTES = 1 << 30
_KEPT_SECONDS = 3600.0
# Of one visitor's maps; all methods at all layers of VGG16 at 224 x 224 are 26 MB.
_MOST_MAP_BYTES = 1 << 25


class Scores(NamedTuple):
    """What a classifier says of an image.

    Attributes:
        probability: (classes,) float32, softmax of the logits.
        logits: (classes,) float32.
    """

    probability: np.ndarray
    logits: np.ndarray

    @property
    def predicted(self) -> int:
        """The most probable class, by the logits: of saturated probabilities several are equal."""
        return int(self.logits.argmax())


class Visit:
    """One visitor's present image and everything that was computed of it.

    Attributes:
        image: uint8 RGB (H, W, 3), as it was sent.
        name: what to call it.
        shown: uint8 RGB, ``image`` at the size that the page shows, at most 640 on the longer side.
        scores: checkpoint index -> :class:`Scores`.
        runs: how often a network ran for this image.
    """

    def __init__(self, image: np.ndarray, name: str):
        self.image = image
        self.name = name
        self.shown = at_most(image, _SHOWN_SIDE)
        self.scores: Dict[int, Scores] = {}
        self.runs = 0
        self.used = time.time()
        self._views: Dict[int, np.ndarray] = {}
        self._maps: OrderedDict[Tuple, np.ndarray] = OrderedDict()
        self._map_bytes = 0

    @property
    def size(self) -> Tuple[int, int]:
        """(height, width) of the picture."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that the visit takes, its maps at their most."""
        return self.image.nbytes + self.shown.nbytes + _MOST_MAP_BYTES

    def view(self, side: int) -> np.ndarray:
        """The classifier's input: float32 BGR (side, side, 3) in 0..255."""
        if side not in self._views:
            self._views = {side: demo_input(self.image, side)}
        return self._views[side]

    def find(self, key: Tuple) -> Optional[np.ndarray]:
        """A raw map that is there already, or ``None``."""
        return self._maps.get(key)

    def keep(self, key: Tuple, raw: np.ndarray) -> None:
        """Remember a raw map; the oldest go where they are more than 32 MB."""
        self._maps[key] = raw
        self._map_bytes += raw.nbytes
        while self._map_bytes > _MOST_MAP_BYTES and len(self._maps) > 1:
            self._map_bytes -= self._maps.popitem(last=False)[1].nbytes


def at_most(image: np.ndarray, side: int) -> np.ndarray:
    """An image made smaller where its longer side is more than ``side``, uint8 RGB."""
    height, width = image.shape[:2]
    scale = min(1.0, side / float(max(height, width)))
    if scale == 1.0:
        return image
    size = max(1, int(round(width * scale))), max(1, int(round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


class Visits:
    """Every visitor's :class:`Visit`, the least recently used ones given up for room.

    Args:
        most_bytes: of all together; one is kept whatever its size.
        kept_seconds: how long an unused one is kept.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES, kept_seconds: float = _KEPT_SECONDS):
        self._most_bytes = most_bytes
        self._kept_seconds = kept_seconds
        self._lock = threading.Lock()
        self._visits: OrderedDict[Any, Visit] = OrderedDict()

    def __len__(self):
        return len(self._visits)

    def open(self, visitor: Any, image: np.ndarray, name: str) -> Visit:
        """Begin with a new image, in place of the visitor's last one."""
        visit = Visit(image, name)
        with self._lock:
            self._visits.pop(visitor, None)
            self._visits[visitor] = visit
            self._make_room(visit.used)
        return visit

    def get(self, visitor: Any) -> Visit:
        """The visitor's present image.

        Raises:
            UserError: there is none, or it was given up.
        """
        with self._lock:
            if visitor not in self._visits:
                raise UserError("no image: drop one, or take a sample")
            self._visits.move_to_end(visitor)
            visit = self._visits[visitor]
            visit.used = time.time()
        return visit

    def drop(self, visitor: Any) -> None:
        """Forget a visitor who has left."""
        with self._lock:
            self._visits.pop(visitor, None)

    def _make_room(self, now):
        for visitor, visit in list(self._visits.items()):
            total = sum(other.nbytes for other in self._visits.values())
            is_old = visit.used < now - self._kept_seconds
            if len(self._visits) > 1 and (is_old or total > self._most_bytes):
                del self._visits[visitor]
