"""Who runs the batches of an evaluation: the session of this process, or workers that have one each."""

import functools
import os
from argparse import Namespace
from typing import Any, Optional, Sequence, Tuple

from dgl.data.sample import DataSet
from dgl.evaluation.collect import gather
from dgl.evaluation.dispatch import dispatch
from dgl.evaluation.fusion import Fusion
from dgl.evaluation.plan import Plan
from dgl.evaluation.results import Gathered
from dgl.evaluation.setup import predictor_arguments
from dgl.evaluation.store import Store
from dgl.evaluation.worker import Task
from dgl.utils.cpu import FLOAT32


class Runner:
    """Holds this process's predictor, and gathers what plans ask for.

    With workers the predictor here tells of the network and draws the report's images, on the CPU, as
    the GPUs are the workers'.

    Attributes:
        predictor: :class:`~dgl.predict.predictor.Predictor`.
    """

    def __init__(self, args: Namespace, pool: Any = None):
        """Build the predictor.

        Args:
            args: parsed flags.
            pool: workers as of :func:`dgl.evaluation.dispatch.dispatch`, with a ``gpus`` of each, or
                ``None``.

        Raises:
            UserError: as :class:`~dgl.predict.predictor.Predictor`.
        """
        self._args = args
        self._pool = pool
        self.predictor: Any = None
        self.build()

    def build(self, extra: Sequence[Tuple[str, str]] = ()) -> Any:
        """Build the predictor again, with more entries; returns it."""
        from dgl.predict.predictor import (
            Predictor,  # TensorFlow takes seconds to load; --help should not
        )

        self.close()
        self._arguments = predictor_arguments(self._args, extra)
        here = dict(self._arguments, gpu=self._args.gpu)
        if self._pool is not None:
            here["gpu"] = "-1"
            if self._pool.gpus:
                here["precision"] = FLOAT32
        self.predictor = Predictor(**here)
        return self.predictor

    def run(
        self,
        dataset: DataSet,
        plan: Plan,
        fusions: Sequence[Fusion],
        store: Optional[Store],
        shard: Tuple[int, int] = (1, 1),
        maps_folder: Optional[str] = None,
    ) -> Gathered:
        """Gather what a plan asks for.

        Args:
            dataset, plan, fusions: as of :class:`~dgl.evaluation.worker.Task`.
            store, shard: as of :func:`dgl.evaluation.collect.gather`.
            maps_folder: str, folder for score maps, or ``None``.

        Returns:
            :class:`~dgl.evaluation.results.Gathered`.

        Raises:
            UserError: as :func:`~dgl.evaluation.collect.gather`, or
                :func:`~dgl.evaluation.dispatch.dispatch`.
        """
        task = Task(self._arguments, dataset, plan, fusions, self._args.strict, maps_folder)
        if self._pool is None:
            parts = task.evaluation(self.predictor, self._args.workers).parts
        else:
            parts = functools.partial(dispatch, self._pool, _for_workers(task, self.predictor.path))
        return gather(plan, dataset, parts, store, shard)

    def close(self) -> None:
        """Free the session."""
        if self.predictor is not None:
            self.predictor.close()
            self.predictor = None


def _for_workers(task, checkpoint):
    """A task whose paths do not hang on the working folder."""
    folder = task.maps_folder
    return task._replace(
        arguments=dict(task.arguments, load=os.path.abspath(checkpoint)),
        maps_folder=None if folder is None else os.path.abspath(folder),
    )
