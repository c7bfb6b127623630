"""The worker's side of a shared evaluation: one session, that runs whichever batch it is given."""

import threading
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.evaluation.fusion import Fusion
from dgl.evaluation.plan import Plan
from dgl.evaluation.run import Evaluation
from dgl.evaluation.setup import versions
from dgl.utils.files import weights_fingerprint

DONE, REFUSED = "done", "refused"


class Task(NamedTuple):
    """All that the batches of an evaluation depend on; it can be pickled.

    Attributes:
        arguments: keywords of :class:`~dgl.predict.predictor.Predictor`, the processor aside; ``load`` is a path
            that holds on every host.
        dataset: :class:`~dgl.data.sample.DataSet`.
        plan: :class:`~dgl.evaluation.plan.Plan`.
        fusions: list of :class:`~dgl.evaluation.fusion.Fusion`.
        strict: whether an image that cannot be read ends the run.
        maps_folder: folder for score maps, absolute and the same on every host, or ``None``.
    """

    arguments: Dict[str, Any]
    dataset: DataSet
    plan: Plan
    fusions: Sequence[Fusion]
    strict: bool = False
    maps_folder: Optional[str] = None

    def evaluation(self, predictor: Any, threads: int) -> Evaluation:
        """The :class:`~dgl.evaluation.run.Evaluation` that runs its batches."""
        return Evaluation(
            predictor,
            self.dataset,
            self.plan,
            self.fusions,
            threads,
            self.strict,
            self.maps_folder,
        )


class Worker:
    """Runs batches of one task after another; the session is kept while tasks have the same network.

    Args:
        threads: int, that decode, and as many that find boxes.
        gpu: as of :class:`~dgl.predict.predictor.Predictor`.
    """

    def __init__(self, threads: int, gpu: Optional[str] = None):
        self._threads = threads
        self._gpu = gpu
        self._arguments: Optional[Dict[str, Any]] = None
        self._predictor: Any = None
        self._evaluation: Any = None

    def start(self, task: Task) -> None:
        """Take on a task. No batch of another one may be running.

        Raises:
            UserError: a checkpoint that cannot be read or is another than the driver's, or other
                versions than there.
        """
        found, expected = dict(versions()), dict(task.plan.versions)
        for name in sorted(set(found) | set(expected)):
            if found.get(name) != expected.get(name):
                raise UserError(
                    f"a worker has {name} {found.get(name)}, expected {expected.get(name)} as where the command runs"
                )
        if self._arguments != task.arguments:
            self.close()
            from dgl.predict.predictor import Predictor  # loads TensorFlow

            self._predictor = Predictor(gpu=self._gpu, **task.arguments)
            self._arguments = task.arguments
        if weights_fingerprint(self._predictor.path) != task.plan.weights:
            raise UserError(
                f"{self._predictor.path}: other weights for a worker than where the command runs; expected the same "
                "file on every host"
            )
        self._evaluation = task.evaluation(_OneAtATime(self._predictor), self._threads)

    def run(self, chunk: int) -> Dict[str, Any]:
        """Run one batch; safe in several threads, whose stages overlap.

        Args:
            chunk: int, its number.

        Returns:
            :meth:`~dgl.evaluation.results.Gathered.state_dict` of it.

        Raises:
            UserError: as :meth:`~dgl.evaluation.run.Evaluation.parts`.
        """
        ((_, part),) = self._evaluation.parts([chunk])
        return part.state_dict()

    def close(self) -> None:
        """Free the session."""
        if self._predictor is not None:
            self._predictor.close()
        self._arguments = self._predictor = self._evaluation = None


def answer(function: Callable[..., Any], *arguments: Any) -> Tuple[str, Any]:
    """What a worker sends back: ``(DONE, result)``, or ``(REFUSED, message)`` for :class:`UserError`."""
    try:
        return DONE, function(*arguments)
    except UserError as error:
        return REFUSED, str(error)


class _OneAtATime:
    """A predictor whose session runs for one thread at a time: it needs its memory for one batch."""

    def __init__(self, predictor):
        self._predictor = predictor
        self._lock = threading.Lock()
        self.image_size = predictor.image_size

    def __call__(self, images, class_index):
        with self._lock:
            return self._predictor(images, class_index)
