"""The grid pointing game (Boehle et al., CVPR 2021): does the map of a class find the tile that shows it?

A mosaic shows images of different classes. For each class in it, the map should lie in that class's tile.
Boxes around single objects cannot tell a map of the class from a map of whatever stands out; mosaics can.
"""

from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.metrics.evaluator import Evaluator, check_lengths
from dgl.metrics.records import Column
from dgl.utils.types import ArrayLike

FIGURES = ("share", "positive_share", "hit")


class Grid(NamedTuple):
    """The tiles of a mosaic, all of one size, numbered row by row from 0."""

    rows: int
    columns: int

    @property
    def tiles(self) -> int:
        """int: rows x columns."""
        return self.rows * self.columns

    def sums(self, values: np.ndarray) -> np.ndarray:
        """float64 (tiles,): the sum of ``values``, (H, W) multiples of the grid, over each tile."""
        height, width = (side // n for side, n in zip(values.shape, self))
        blocks = values.reshape(self.rows, height, self.columns, width)
        sums: np.ndarray = blocks.sum(axis=(1, 3), dtype=np.float64).ravel()
        return sums


class PointingGameEvaluator(Evaluator):
    """Share of each class's map in its own tile, and whether the maximum lies there; a row a mosaic."""

    name = "pointing_game"
    nothing = "expected at least one mosaic"
    summed = FIGURES

    def __init__(self, grid: Tuple[int, int]) -> None:
        """Start empty.

        Args:
            grid: rows and columns of the mosaics, two tiles or more.

        Raises:
            ValueError: fewer than two tiles.
        """
        self.grid = Grid(*(int(number) for number in grid))
        if min(self.grid) < 1 or self.grid.tiles < 2:
            raise ValueError(f"expected a grid of two tiles or more, got {grid}")
        super().__init__({"grid": list(self.grid)})

    def measure(self, raw: ArrayLike, tile: int) -> Tuple[float, float, float]:
        """Measure one map for :meth:`add_found`; changes nothing and is safe in threads.

        Args:
            raw: finite numbers (H, W), the map of the class in ``tile``, of any offset and scale and of a
                size that the grid divides.
            tile: where the class is.

        Returns:
            tuple of floats in [0, 1]: the share of the map less its minimum in the tile; the share of its
            positive part (the paper's figure); 1 where its first maximum lies in the tile, else 0. A map
            with nothing in it, constant or without a positive value, has a share of 0.

        Raises:
            ValueError: a size that the grid does not divide, or NaN or infinity.
        """
        raw = np.asarray(raw, np.float64)
        if raw.ndim != 2 or not raw.size or any(side % n for side, n in zip(raw.shape, self.grid)):
            raise ValueError(
                f"a map of shape {raw.shape} has no {self.grid.rows} x {self.grid.columns} tiles"
            )
        if not np.isfinite(raw).all():
            raise ValueError("a map holds NaN or infinity")
        peak = np.zeros_like(raw)
        peak.flat[raw.argmax()] = np.ptp(raw) > 0
        parts = (raw - raw.min(), np.maximum(raw, 0), peak)
        shares = []
        for sums in map(self.grid.sums, parts):
            total = sums.sum()
            shares.append(float(sums[tile] / total) if total > 0 else 0.0)
        return shares[0], shares[1], shares[2]

    def add_found(self, found: Sequence[Any], ids: Optional[Sequence[str]] = None) -> None:
        """Count mosaics by the results of :meth:`measure`, one per tile; raises as other evaluators."""
        check_lengths(mosaics=found, ids=ids)
        # A mosaic's tiles share an image, so a bootstrap draws them together.
        rows = np.asarray(found, np.float64).reshape(len(found), self.grid.tiles, len(FIGURES))
        means = rows.mean(axis=1)
        self.records.append(ids, **{name: means[:, i] for i, name in enumerate(FIGURES)})

    def result(self) -> Dict[str, Any]:
        """``share``, ``positive_share`` and ``hit`` in percent, and the number of ``mosaics``."""
        return dict(self._own_figures(), mosaics=self.images)

    def _columns(self) -> Dict[str, Column]:
        return {name: Column("float64") for name in FIGURES}
