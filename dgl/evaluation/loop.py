"""The evaluation loop: run batches here or on Ray workers, collect their results in data set order."""

import contextlib
import logging
import os
from argparse import Namespace
from typing import Any, Callable, Generator, List, Optional, Sequence, Set, Tuple

from tqdm import tqdm

from dgl.data.labels import OffsetCheck
from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.evaluation.batches import BatchRunner, Task
from dgl.evaluation.layer_fusion import Fusion
from dgl.evaluation.plan import Plan, predictor_arguments
from dgl.evaluation.results import Results, Store
from dgl.metrics.box_check import warn_of_misfits
from dgl.utils.devices import FLOAT32

_logger = logging.getLogger(__name__)

RunBatches = Callable[[List[int]], Generator[Tuple[int, Results], None, None]]


class Evaluation:
    """The predictor of this process, and the loop over the batches of a plan.

    With ``workers`` (:class:`~dgl.evaluation.ray_workers.RayWorkers`) the predictor here describes the
    network and draws the report's images, on the CPU, because the GPUs belong to the workers.
    """

    def __init__(self, args: Namespace, workers: Any = None):
        self._args = args
        self._workers = workers
        self.predictor: Any = None
        self.build()

    def build(self, extra: Sequence[Tuple[str, str]] = ()) -> Any:
        """Build the predictor anew, with more (method, layer) entries; returns it."""
        from dgl.predict.predictor import predictor_of  # loads TensorFlow

        self.close()
        self._arguments = predictor_arguments(self._args, extra)
        here = dict(self._arguments, gpu=self._args.gpu)
        if self._workers is not None:
            here["gpu"] = "-1"
            if self._workers.gpus:
                here["precision"] = FLOAT32
        self.predictor = predictor_of(**here)
        self.predictor.strict = False
        return self.predictor

    def run(
        self,
        dataset: DataSet,
        plan: Plan,
        fusions: Sequence[Fusion],
        store: Optional[Store],
        shard: Tuple[int, int] = (1, 1),
        maps_folder: Optional[str] = None,
    ) -> Results:
        """Run a plan, or one shard of it; arguments as of :class:`Task` and :func:`collect`."""
        task = Task(self._arguments, dataset, plan, fusions, self._args.strict, maps_folder)
        if self._workers is None:
            run_batches: RunBatches = BatchRunner(self.predictor, task, self._args.workers).run
        else:
            # Workers may run in other folders, and the record keeps the paths as they were given.
            load = os.path.abspath(self.predictor.path)
            folder = None if maps_folder is None else os.path.abspath(maps_folder)
            arguments = dict(self._arguments, load=load)
            run_batches = self._workers.batches_of(
                task._replace(arguments=arguments, maps_folder=folder)
            )
        is_open = self._args.class_offset is None
        return collect(plan, dataset, run_batches, store, shard, check_offset=is_open)

    def close(self) -> None:
        """Free the session."""
        if self.predictor is not None:
            self.predictor.close()
            self.predictor = None


def collect(
    plan: Plan,
    dataset: DataSet,
    run_batches: RunBatches,
    store: Optional[Store] = None,
    shard: Tuple[int, int] = (1, 1),
    progress: bool = True,
    check_offset: bool = False,
) -> Results:
    """Collect the results of all batches, or of one shard of them, in data set order.

    Args:
        plan, dataset: what is evaluated.
        run_batches: takes batch numbers and yields (number, :class:`~dgl.evaluation.results.Results`) in
            any order, such as :meth:`~dgl.evaluation.batches.BatchRunner.run`.
        store: batches that it holds are not run again, and every other one is saved in it.
        shard: ``(i, n)``: every n-th batch, beginning with the i-th.
        check_offset: whether to compare labels with the first predictions.

    Raises:
        UserError: labels that are obviously one off; with ``strict``, an image that cannot be read; no
            image can be read; a file cannot be written.
    """
    results = Results(plan)
    index, count = shard
    chunks = list(range(index - 1, plan.chunks, count))
    total = sum(len(plan.positions(chunk)) for chunk in chunks)
    done = set() if store is None else _restore(results, store, chunks, total)
    offset = OffsetCheck(dataset.name)
    batches = run_batches([chunk for chunk in chunks if chunk not in done])
    with contextlib.closing(batches), tqdm(
        total=total,
        initial=len(results),
        unit=" images",
        desc="selection" if plan.selecting else "evaluation",
        disable=not progress,
    ) as bar:
        for chunk, part in batches:
            if check_offset:
                columns = part.images.column
                try:
                    offset.add(columns("class_index"), columns("predicted_index"))
                except UserError:
                    if store is not None:
                        store.discard()
                    raise
            if store is not None:
                store.write(chunk, part)
            for _, reason in part.errors.values():
                _logger.warning("left out: %s", reason)
            results.merge(part)
            bar.update(len(part))
    results.sort()
    results.skipped = dataset.skipped
    warn_of_misfits(dataset, plan.boxes_frame, results.images)
    if total and not results.names:
        _, reason = next(iter(results.errors.values()))
        raise UserError(f"none of {len(results)} images can be read; the first: {reason}")
    return results


def _restore(results: Results, store: Store, chunks: Sequence[int], total: int) -> Set[int]:
    """Merge the batches of this shard that a store holds; returns their numbers."""
    done = set()
    for chunk in sorted(set(chunks).intersection(store.done())):
        try:
            results.merge(store.read(chunk))
            done.add(chunk)
        except UserError as error:
            _logger.warning("%s; the batch is run again", error)
    if done:
        _logger.warning("resuming: %d of %d images are done", len(results), total)
    return done
