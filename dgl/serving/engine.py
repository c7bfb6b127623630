"""Networks behind the page: one TensorFlow session per checkpoint, shared by all visitors."""

import threading
from collections import OrderedDict
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.attribution import METHODS
from dgl.attribution.registry import LOSS_GRADIENT
from dgl.data.views import demo_input
from dgl.errors import UserError
from dgl.predict.session import Entry
from dgl.serving.models import Model, describe, shared_predictor
from dgl.serving.sessions import Scores, Session
from dgl.weights.foreign_model import ForeignModel


class Result(NamedTuple):
    """Scores of an image, and its raw maps of one class, float32 (h, w)."""

    class_index: int
    scores: Scores
    maps: Dict[Entry, np.ndarray]


class _Request(NamedTuple):
    """Maps of a visitor's image, as :meth:`Engine.predict` is asked for them."""

    session: Session
    checkpoint: int
    entries: Tuple[Entry, ...]
    class_index: Optional[int]
    alpha: float

    def key(self, entry: Entry, class_index: int) -> Tuple[Any, ...]:
        """What a map depends on; some methods use no class, and few use alpha."""
        needs = METHODS[entry[0]].needs
        alpha = self.alpha if LOSS_GRADIENT in needs else None
        return self.checkpoint, entry, class_index if needs else None, alpha

    def known(self, class_index: int) -> Dict[Entry, np.ndarray]:
        """Those of the maps that were computed before."""
        found = {entry: self.session.find(self.key(entry, class_index)) for entry in self.entries}
        return {entry: raw for entry, raw in found.items() if raw is not None}

    def stored(self) -> Optional[Result]:
        """The result if all of it was computed before."""
        scores = self.session.scores.get(self.checkpoint)
        if scores is None:
            return None
        class_index = scores.predicted if self.class_index is None else self.class_index
        if not 0 <= class_index < len(scores.logits):
            return None  # reported by the predictor
        maps = self.known(class_index)
        return Result(class_index, scores, maps) if set(self.entries) == set(maps) else None


class Engine:
    """Runs the networks of some checkpoints, one run at a time; safe to call from several threads.

    Attributes:
        models: descriptions of the checkpoints, in the order given.
    """

    def __init__(
        self,
        loads: Sequence[str],
        keep: int = 2,
        gpu: Optional[str] = None,
        data_set: Optional[str] = None,
        make: Callable[..., Any] = shared_predictor,
        foreign: Optional[ForeignModel] = None,
    ):
        """Describe one or more checkpoints; at most ``keep`` networks, built by ``make``, are in memory.

        Other arguments are those of :func:`~dgl.serving.models.describe`.
        """
        self.models: List[Model] = [describe(load, data_set, foreign) for load in loads]
        self._keep = keep
        self._settings = {"gpu": gpu, "data_set": data_set}
        self._make = make
        self._lock = threading.Lock()
        self._loaded: OrderedDict[int, Any] = OrderedDict()

    def model(self, checkpoint: int) -> Model:
        """The model of a checkpoint's index; raises UserError for no such index."""
        if not 0 <= checkpoint < len(self.models):
            raise UserError(f"no checkpoint {checkpoint}")
        return self.models[checkpoint]

    def predict(
        self,
        session: Session,
        checkpoint: int,
        entries: Iterable[Entry],
        class_index: Optional[int] = None,
        alpha: float = 10.0,
    ) -> Result:
        """Maps of a visitor's image; the network runs only for those not computed before.

        Args:
            session: the visitor's.
            checkpoint: index into :attr:`models`.
            entries: as :meth:`~dgl.serving.models.Model.entry` gives them.
            class_index: ``None`` for the most probable class.
            alpha: the target's score in the loss gradient, may be infinite.

        Raises:
            UserError: no such checkpoint or class, or scores that are not finite.
        """
        self.model(checkpoint)
        request = _Request(session, checkpoint, tuple(entries), class_index, alpha)
        result = request.stored()
        if result is None:
            with self._lock:
                # Another request of this visitor may have computed it meanwhile.
                result = request.stored() or self._run(request)
        return result

    def _run(self, request: _Request) -> Result:
        session, checkpoint, entries, class_index, alpha = request
        if class_index is None and checkpoint in session.scores:
            class_index = session.scores[checkpoint].predicted
        known = {} if class_index is None else request.known(class_index)
        missing = [entry for entry in entries if entry not in known]
        predictor = self._predictor(checkpoint)
        prediction = predictor(
            demo_input(session.image, predictor.image_size)[np.newaxis],
            None if class_index is None else [class_index],
            entries=missing,
            alpha=alpha,
        )
        session.runs += 1
        if not np.isfinite(prediction.logits).all():
            raise UserError(f"{self.models[checkpoint].label}: its scores are not finite")
        class_index = int(prediction.class_index[0])
        for entry in missing:
            known[entry] = prediction.maps[entry][0]
            session.store(request.key(entry, class_index), known[entry])
        session.scores[checkpoint] = Scores(prediction.probability[0], prediction.logits[0])
        maps = {entry: known[entry] for entry in entries}
        return Result(class_index, session.scores[checkpoint], maps)

    def _predictor(self, checkpoint: int) -> Any:
        """The network of a checkpoint, built if it is not in memory."""
        if checkpoint not in self._loaded:
            while len(self._loaded) >= self._keep:
                self._loaded.popitem(last=False)[1].close()
            model = self.models[checkpoint]
            settings: Dict[str, Any] = {"layers": list(model.layers), "methods": ["all"]}
            if model.foreign is not None:
                settings["foreign"] = model.foreign
            made = self._make(model.mode, model.path, **settings, **self._settings)
            self._loaded[checkpoint] = made
        self._loaded.move_to_end(checkpoint)
        return self._loaded[checkpoint]

    def close(self) -> None:
        """Close every TensorFlow session."""
        with self._lock:
            while self._loaded:
                self._loaded.popitem()[1].close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
