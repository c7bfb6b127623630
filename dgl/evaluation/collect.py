"""From batches to the whole, whoever runs them: each is kept as it comes, and all are put in one order."""

import contextlib
import logging
from typing import Callable, Generator, List, Optional, Tuple

from tqdm import tqdm

from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.evaluation.plan import Plan
from dgl.evaluation.results import Gathered
from dgl.evaluation.store import Store
from dgl.metrics.box_check import BoxCheck, Fit

_logger = logging.getLogger(__name__)


def gather(
    plan: Plan,
    dataset: DataSet,
    parts: Callable[[List[int]], Generator[Tuple[int, Gathered], None, None]],
    store: Optional[Store] = None,
    shard: Tuple[int, int] = (1, 1),
    progress: bool = True,
) -> Gathered:
    """Go through a data set, or through one shard of it.

    Args:
        plan: :class:`~dgl.evaluation.plan.Plan`.
        dataset: :class:`~dgl.data.sample.DataSet`.
        parts: runs batches: list of their numbers -> generator of (number,
            :class:`~dgl.evaluation.results.Gathered`), in any order, such as
            :meth:`~dgl.evaluation.run.Evaluation.parts`.
        store: :class:`~dgl.evaluation.store.Store` of unfinished results, or ``None`` to keep none:
            batches it holds are not run again, and every other one is kept in it.
        shard: ``(i, n)``: every n-th batch, from the i-th on.
        progress: bool, whether to show a progress bar.

    Returns:
        :class:`~dgl.evaluation.results.Gathered`, in the order of the data set's list.

    Raises:
        UserError: with ``strict``, an image that cannot be read; no image at all can be; a file
            cannot be written.
    """
    gathered = Gathered(plan)
    index, count = shard
    chunks = list(range(index - 1, plan.chunks, count))
    total = sum(len(plan.positions(chunk)) for chunk in chunks)
    done = _restore(gathered, store, chunks, total)
    wanted = [chunk for chunk in chunks if chunk not in done]
    with contextlib.closing(parts(wanted)) as found, tqdm(
        total=total,
        initial=len(gathered),
        unit=" images",
        desc="selection" if plan.selecting else "evaluation",
        disable=not progress,
    ) as bar:
        for chunk, part in found:
            if store is not None:
                store.write(chunk, part)
            for _, reason in part.errors.values():
                _logger.warning("left out: %s", reason)
            gathered.merge(part)
            bar.update(len(part))
    gathered.sort()
    _check_boxes(gathered, dataset)
    if total and not gathered.names:
        _, reason = next(iter(gathered.errors.values()))
        raise UserError(f"none of {len(gathered)} images can be read; the first: {reason}")
    return gathered


def _restore(gathered, store, chunks, total):
    """Take over the batches of this shard that a store holds; returns their numbers."""
    done = set()
    for chunk in store.done() if store is not None else ():
        if chunk not in chunks:
            continue
        try:
            gathered.merge(store.read(chunk))
            done.add(chunk)
        except UserError as error:
            _logger.warning("%s; the batch is run again", error)
    if done:
        _logger.warning(
            "going on after %d of %d images that are there already", len(gathered), total
        )
    return done


def _check_boxes(gathered, dataset):
    """Warn of boxes that do not fit the pictures."""
    check = BoxCheck()
    names = ("clipped", "outside", "width", "height")
    columns = [gathered.pictures.column(name).tolist() for name in names]
    for key, clipped, outside, width, height in zip(gathered.pictures.ids, *columns):
        check.add(dataset.samples[int(key)], Fit(None, clipped, outside, (width, height)))
    check.log(dataset.name)
