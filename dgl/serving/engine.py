"""The networks behind the page: one session a checkpoint for all visitors, and nothing run twice."""

import threading
from collections import OrderedDict
from typing import Any, Callable, Dict, Iterable, NamedTuple, Optional, Sequence

import numpy as np

from dgl.attribution import METHODS
from dgl.attribution.registry import LOSS_GRADIENT
from dgl.errors import UserError
from dgl.serving.models import Entry, Model, describe
from dgl.serving.sessions import Scores, Visit
from dgl.serving.shared_weights import SharedPredictor
from dgl.utils.files import weights_fingerprint


class Look(NamedTuple):
    """What a classifier sees in an image.

    Attributes:
        class_index: int, the class that the maps are of.
        scores: :class:`~dgl.serving.sessions.Scores`.
        maps: (method, layer) -> float32 (h, w), raw.
    """

    class_index: int
    scores: Scores
    maps: Dict[Entry, np.ndarray]


class Engine:
    """Runs any of some checkpoints, one run at a time; safe to call from several threads.

    Attributes:
        models: list of :class:`Model`, in the order given.
        runs: how often a network ran.
    """

    def __init__(
        self,
        loads: Sequence[str],
        keep: int = 2,
        gpu: Optional[str] = None,
        data_set: Optional[str] = None,
        make: Callable[..., Any] = SharedPredictor,
    ):
        """Read what the checkpoints are.

        Args:
            loads: their paths or short names, at least one.
            keep: how many networks are in memory at most.
            gpu: see :class:`~dgl.predict.predictor.Predictor`.
            data_set: decides between several heads of a checkpoint.
            make: makes a predictor of a mode, a path and settings of ``Predictor``.

        Raises:
            UserError: see :func:`describe`.
        """
        self.models = [describe(load, data_set) for load in loads]
        self.runs = 0
        self._keep = keep
        self._settings = {"gpu": gpu, "data_set": data_set}
        self._make = make
        self._lock = threading.Lock()
        self._loaded: OrderedDict[int, Any] = OrderedDict()
        self._weights: Dict[int, str] = {}

    def model(self, checkpoint: int) -> Model:
        """The model of a checkpoint's index.

        Raises:
            UserError: no such index.
        """
        if not 0 <= checkpoint < len(self.models):
            raise UserError(f"no checkpoint {checkpoint}")
        return self.models[checkpoint]

    def weights(self, checkpoint: int) -> str:
        """:func:`~dgl.utils.files.weights_fingerprint` of a checkpoint, hashed once."""
        if checkpoint not in self._weights:
            self._weights[checkpoint] = weights_fingerprint(self.model(checkpoint).path)
        return self._weights[checkpoint]

    def look(
        self,
        visit: Visit,
        checkpoint: int,
        entries: Iterable[Entry],
        class_index: Optional[int] = None,
        alpha: float = 10.0,
    ) -> Look:
        """Maps of a visitor's image: those that are there already, the others from one run.

        Args:
            visit: :class:`~dgl.serving.sessions.Visit`.
            checkpoint: index into :attr:`models`.
            entries: of :meth:`Model.entry`.
            class_index: ``None`` takes the most probable class.
            alpha: of the loss gradient, also ``inf``.

        Raises:
            UserError: a class that is not there, or a network that gives no finite numbers.
        """
        self.model(checkpoint)
        entries = list(entries)
        found = _remembered(visit, checkpoint, entries, class_index, alpha)
        if found is None:
            with self._lock:
                # Another request of the same visitor may have run it in the meantime.
                found = _remembered(visit, checkpoint, entries, class_index, alpha)
                if found is None:
                    found = self._run(visit, checkpoint, entries, class_index, alpha)
        return found

    def _run(self, visit, checkpoint, entries, class_index, alpha):
        scores = visit.scores.get(checkpoint)
        if class_index is None and scores is not None:
            class_index = scores.predicted
        known = {}
        if class_index is not None:
            known = {
                entry: visit.find(_key(checkpoint, entry, class_index, alpha)) for entry in entries
            }
        missing = [entry for entry in entries if known.get(entry) is None]
        predictor = self._predictor(checkpoint)
        prediction = predictor(
            visit.view(predictor.image_size)[np.newaxis],
            None if class_index is None else [class_index],
            entries=missing,
            alpha=alpha,
        )
        self.runs += 1
        visit.runs += 1
        if not np.isfinite(prediction.logits).all():
            raise UserError(f"{self.models[checkpoint].label}: its scores are not finite")
        class_index = int(prediction.class_index[0])
        for entry in missing:
            known[entry] = prediction.maps[entry][0]
            visit.keep(_key(checkpoint, entry, class_index, alpha), known[entry])
        visit.scores[checkpoint] = Scores(prediction.probability[0], prediction.logits[0])
        maps = OrderedDict((entry, known[entry]) for entry in entries)
        return Look(class_index, visit.scores[checkpoint], maps)

    def _predictor(self, checkpoint):
        """The network of a checkpoint, built where it is not in memory."""
        if checkpoint not in self._loaded:
            while len(self._loaded) >= self._keep:
                self._loaded.popitem(last=False)[1].close()
            model = self.models[checkpoint]
            self._loaded[checkpoint] = self._make(
                model.mode, model.path, layers=["all"], methods=["all"], **self._settings
            )
        self._loaded.move_to_end(checkpoint)
        return self._loaded[checkpoint]

    def close(self) -> None:
        """Free every session."""
        with self._lock:
            while self._loaded:
                self._loaded.popitem()[1].close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _key(checkpoint, entry, class_index, alpha):
    """What a map hangs on; Eigen-CAM and the center are of no class, and few methods know of alpha."""
    needs = METHODS[entry[0]].needs
    return (
        checkpoint,
        entry,
        class_index if needs else None,
        alpha if LOSS_GRADIENT in needs else None,
    )


def _remembered(visit, checkpoint, entries, class_index, alpha):
    scores = visit.scores.get(checkpoint)
    if scores is None:
        return None
    class_index = scores.predicted if class_index is None else class_index
    if not 0 <= class_index < len(scores.logits):
        return None  # the run says so
    maps = OrderedDict()
    for entry in entries:
        maps[entry] = visit.find(_key(checkpoint, entry, class_index, alpha))
    if any(raw is None for raw in maps.values()):
        return None
    return Look(class_index, scores, maps)
