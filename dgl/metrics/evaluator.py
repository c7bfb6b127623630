"""The interface of all evaluators: they take batches, merge, store their state and compute figures.

An evaluator keeps a row per image (:mod:`dgl.metrics.records`). Its figures are computed from
them in two steps: *totals*, sums over images and so linear in how often each image counts, and *figures*,
functions of the totals. A figure of a resampled data set is therefore one product of a matrix of
weights with the rows (:mod:`dgl.metrics.bootstrap`).
"""

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Sized, Tuple, Union

import numpy as np

from dgl.errors import UserError
from dgl.metrics.records import Column, Records
from dgl.utils.parallel import ordered_map
from dgl.utils.types import ArrayLike

# Rows that are unpacked at a time: bounds the memory that totals take.
_BLOCK = 2048


class Evaluator:
    """Base of the evaluators: rows under fixed settings.

    A subclass sets :attr:`name` and implements :meth:`_columns` and :meth:`_terms` or :attr:`summed`;
    :meth:`figures` where they are not means, and :attr:`counted` or :meth:`_counted` where not every row
    counts. Its own ``add`` appends to ``self.records``.
    """

    name = ""
    nothing = "expected at least one image"
    counted = ""  # column of bools: the rows that count towards the figures; all do without it
    summed: Tuple[str, ...] = ()  # columns that the totals are sums of

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Start empty under settings of JSON values; only evaluators with equal ones can be merged."""
        self._settings = dict(settings)
        self.records = Records(self._columns())

    @property
    def settings(self) -> Dict[str, Any]:
        """A copy of the settings that the rows depend on."""
        return dict(self._settings)

    def merge(self, other: "Evaluator") -> None:
        """Add the rows of another evaluator, which is left as it is.

        Raises:
            ValueError: another class, other settings, or an image (by its id) that both have.
        """
        self._check_state({"evaluator": other.name, "settings": other.settings})
        self.records.extend(other.records)

    def state_dict(self) -> Dict[str, Any]:
        """The evaluator as JSON values: ``evaluator``, ``settings`` and ``records``."""
        return {
            "evaluator": self.name,
            "settings": self.settings,
            "records": self.records.state_dict(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Replace all rows by those of a :meth:`state_dict`.

        Raises:
            ValueError: a state of another evaluator or of other settings, or a damaged one; the
                evaluator then keeps what it had.
        """
        self._check_state(state)
        try:
            self.records = Records.from_state(self._columns(), state.get("records"))
        except ValueError as error:
            raise ValueError(f"the state of a {self.name} evaluator: {error}") from error

    @property
    def images(self) -> int:
        """The number of images that count towards the figures."""
        return int(np.count_nonzero(self._counted()))

    def counted_ids(self) -> List[str]:
        """The ids of the images that count, sorted; empty where there are no ids."""
        ids = self.records.ids
        return [ids[row] for row in self._counted_rows()] if ids else []

    def totals(self, weights: Optional[ArrayLike] = None) -> Dict[str, np.ndarray]:
        """Sums over the images that count.

        Args:
            weights: (B, N) numbers, how often each of the N counted images counts in each of B
                data sets, in the order of their ids; by default once in one data set.

        Returns:
            dict name -> float64 (B, ...), ``images`` among them.

        Raises:
            dgl.errors.UserError: no image counts.
        """
        rows = self._counted_rows()
        if not len(rows):
            raise UserError(f"{self.name}: {self.nothing}")
        weights = np.ones((1, len(rows))) if weights is None else np.asarray(weights)
        sums = {"images": weights.sum(axis=1, dtype=np.float64)}
        for start in range(0, len(rows), _BLOCK):
            part = weights[:, start : start + _BLOCK].astype(np.float64)
            for name, terms in self._terms(rows[start : start + _BLOCK]).items():
                flat = np.asarray(terms, np.float64).reshape(len(terms), -1)
                product = (part @ flat).reshape((len(part),) + np.shape(terms)[1:])
                sums[name] = sums[name] + product if name in sums else product
        return sums

    def figures(self, totals: Mapping[Any, np.ndarray]) -> Dict[str, np.ndarray]:
        """Figure -> float64 (B,) in percent, of totals as :meth:`totals` gives them; here their means."""
        images = totals["images"]
        return {name: percent(own, images) for name, own in totals.items() if name != "images"}

    def result(self) -> Dict[str, Any]:
        """The figures of everything that was added, in percent.

        Raises:
            dgl.errors.UserError: nothing was added that counts.
        """
        raise NotImplementedError

    def _columns(self) -> Dict[str, Column]:
        """Name -> :class:`~dgl.metrics.records.Column`."""
        raise NotImplementedError

    def _counted(self) -> np.ndarray:
        """Bool (N,): the rows that count towards the figures."""
        every = np.ones(len(self.records), bool)
        return self.records.column(self.counted) if self.counted else every

    def _terms(self, rows: np.ndarray) -> Dict[str, Any]:
        """Name -> numbers (len(rows), ...): what each of some rows adds to the totals."""
        return {name: self.records.column(name)[rows] for name in self.summed}

    def _counted_rows(self) -> np.ndarray:
        order = self.records.order()
        rows: np.ndarray = order[self._counted()[order]]
        return rows

    def _own_figures(self) -> Dict[str, float]:
        """Figure -> float, of everything that was added."""
        return {name: float(value[0]) for name, value in self.figures(self.totals()).items()}

    def _check_state(self, state: Any) -> None:
        if not isinstance(state, dict) or state.get("evaluator") != self.name:
            raise ValueError(f"expected the state of a {self.name} evaluator")
        if state.get("settings") != self._settings:
            raise ValueError(
                f"cannot combine {self.name} results of settings {self._settings} and "
                f"{state.get('settings')}"
            )


def percent(count: Any, total: Any) -> Any:
    """``count`` of ``total`` in percent, numbers or arrays."""
    return 100.0 * count / total


def as_batch(values: Any, single: bool) -> Optional[List[Any]]:
    """A list of one value per image, of the value of one image or of several; ``None`` stays."""
    if values is None:
        return None
    return [values] if single else list(values)


def measure_batch(
    measure: Callable[..., Any],
    score_maps: ArrayLike,
    ids: Union[str, Sequence[str], None],
    workers: int,
    **truths: Any,
) -> Tuple[List[Any], Optional[List[str]]]:
    """Apply a function to every image of a batch, or to one image, in ``workers`` threads.

    Args:
        measure: of a score map and the truths of its image.
        score_maps: N maps, or a single one.
        ids: N names, one name, or ``None``.
        truths: the other arguments of ``measure`` by their names in messages: one value per image;
            that of a single image may be ``None``.

    Returns:
        The results, and the names or ``None``.

    Raises:
        ValueError: unequal lengths, and what ``measure`` raises.
    """
    single = isinstance(score_maps, np.ndarray) and score_maps.ndim == 2
    score_maps = as_batch(score_maps, single)
    truths = {name: [value] if single else list(value) for name, value in truths.items()}
    check_lengths(score_maps=score_maps, **truths)
    images = zip(score_maps, *truths.values())
    found = ordered_map(lambda image: measure(*image), images, workers)
    return list(found), as_batch(ids, single)


def check_lengths(**columns: Optional[Sized]) -> None:
    """Raise ValueError unless all the given lists (``None`` aside) are equally long."""
    lengths = {name: len(values) for name, values in columns.items() if values is not None}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{name} {n}" for name, n in sorted(lengths.items()))
        raise ValueError("expected one entry per image everywhere, got " + described)
