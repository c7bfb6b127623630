"""Entries of a result table: a method at a layer, or a method's layers fused into one map."""

from typing import Any, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.errors import UserError
from dgl.predict import postprocess
from dgl.predict.postprocess import MINMAX, Normalization

# How the maps of two layers are combined. Normalization makes the division of a sum by their number
# unnecessary.
_COMBINED = {"mean": np.add, "max": np.maximum, "geo": np.multiply}
FUSIONS = tuple(_COMBINED)
# Added to each map before a geometric mean, so that a single zero does not decide.
FLOOR = 0.05
_FEW = 3


class Fusion(NamedTuple):
    """One more entry, made of two or more layers of a method.

    ``kind`` is the ``"mean"``, ``"max"`` or ``"geo"`` of the layers' normalized maps; ``"geo"`` is the
    geometric mean of the maps plus :data:`FLOOR`.
    """

    method: str
    kind: str
    layers: Tuple[str, ...]

    @property
    def entry(self) -> Tuple[str, str]:
        """(method, name): the name tells kind and layers."""
        shown = "+".join(self.layers)
        if len(self.layers) > _FEW:
            shown = f"{self.layers[0]}..{self.layers[-1]}, {len(self.layers)} layers"
        return self.method, f"{self.kind}({shown})"


def entry_name(entry: Tuple[str, str]) -> str:
    """``method@layer``."""
    return "{}@{}".format(*entry)


def file_name(entry: Tuple[str, str]) -> str:
    """``method@layer`` as the name of a folder: a layer's ``/`` becomes ``_``."""
    return entry_name(entry).replace("/", "_").replace(" ", "")


def make_fusions(
    entries: Iterable[Tuple[str, str]], kinds: Sequence[str], layers: Optional[Sequence[str]] = None
) -> List[Fusion]:
    """The fusions of every method that has two or more of some layers, by default all of ``entries``.

    ``kinds`` are names out of :data:`FUSIONS`.

    Raises:
        UserError: kinds are given, but no method has two of the layers.
    """
    found: List[Fusion] = []
    for method in dict.fromkeys(method for method, _ in entries):
        own = tuple(
            layer for m, layer in entries if m == method and (layers is None or layer in layers)
        )
        if len(own) > 1:
            found.extend(Fusion(method, kind, own) for kind in kinds)
    if kinds and not found:
        raise UserError("--fuse {}: expected two or more layers to fuse".format(" ".join(kinds)))
    return found


def score_maps(
    raw_maps: Mapping[Tuple[str, str], np.ndarray],
    size: int,
    fusions: Sequence[Fusion] = (),
    normalization: Normalization = MINMAX,
) -> Iterator[Tuple[Tuple[str, str], np.ndarray]]:
    """Score maps of one image, one at a time: normalized, resized, fused.

    Args:
        raw_maps: entry -> (h, w) array, as the network gives it.
        size: side of the score maps.
        fusions: of these entries.
        normalization: of the entries; what is fused is normalized by its minimum and maximum.

    Yields:
        (entry, float32 (size, size) in [0, 1]); first the entries, then the fusions.
    """
    fused: List[Any] = [None] * len(fusions)
    for entry, raw in raw_maps.items():
        score_map = postprocess.score_map(raw, size, size, normalization)
        yield entry, score_map
        for index, fusion in enumerate(fusions):
            if entry[0] == fusion.method and entry[1] in fusion.layers:
                own = score_map.astype(np.float64) + (FLOOR if fusion.kind == "geo" else 0.0)
                total = fused[index]
                fused[index] = own if total is None else _COMBINED[fusion.kind](total, own)
    for fusion, total in zip(fusions, fused):
        if fusion.kind == "geo":
            total = total ** (1.0 / len(fusion.layers))
        yield fusion.entry, postprocess.normalize(total)
