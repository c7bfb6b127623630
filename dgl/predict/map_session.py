"""Attention maps in a graph, and the session that they are run in: one run a batch."""

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.attribution.gradients import check_alpha
from dgl.errors import UserError
from dgl.tf_compat import tf

ARG_MAX = -1

Entry = Tuple[str, str]


class Prediction(NamedTuple):
    """What the classifier sees in a batch.

    Attributes:
        class_index: (N,) int32, the class that the maps are of.
        probability: (N, classes) float32, softmax of the logits.
        logits: (N, classes) float32.
        maps: (method, layer) -> (N, H, W) float32, raw, at the layer's own resolution.
    """

    class_index: np.ndarray
    probability: np.ndarray
    logits: np.ndarray
    maps: Dict[Entry, np.ndarray]


def target_class(logits: Any) -> Tuple[Any, Any]:
    """A placeholder for the classes that are asked for, and the classes that the maps are of.

    Args:
        logits: (N, classes) float tensor.

    Returns:
        ((N,) int32 placeholder, (N,) int32 tensor): where :data:`ARG_MAX` is fed, the class is the most
        probable one.
    """
    target = tf.placeholder(tf.int32, [None], "target")
    best = tf.argmax(logits, axis=1, output_type=tf.int32)
    return target, tf.where(tf.equal(target, ARG_MAX), best, target)


def alpha_input(default: float) -> Any:
    """A scalar float32 tensor that each run may feed; ``default`` where it does not."""
    return tf.placeholder_with_default(tf.constant(default, tf.float32), [], "alpha")


class MapSession:
    """Runs maps of one graph; who builds the graph is a subclass's concern.

    Attributes:
        entries: list of (method, layer), the order of the maps.
    """

    def __init__(
        self,
        session: Any,
        image: Any,
        target: Any,
        fetches: Prediction,
        name: str,
        alpha: Optional[Any] = None,
        owns_session: bool = True,
        feeds: Optional[Mapping[Any, Any]] = None,
    ):
        """Take over a graph.

        Args:
            session: ``tf.Session`` of the graph, with all variables filled.
            image: the tensor that batches are fed to.
            target: (N,) int32 placeholder, see :func:`target_class`.
            fetches: :class:`Prediction` of tensors.
            name: what errors call the classifier, such as its file.
            alpha: tensor of :func:`alpha_input`, or ``None`` where alpha is part of the graph.
            owns_session: whether :meth:`close` closes it.
            feeds: tensor -> value, what else every run needs.
        """
        self.entries: List[Entry] = list(fetches.maps)
        self._session = session
        self._image = image
        self._target = target
        self._fetches = fetches
        self._name = name
        self._alpha = alpha
        self._owns_session = owns_session
        self._feeds = dict(feeds or {})

    @property
    def classes(self) -> int:
        """Number of logits."""
        return int(self._fetches.logits.shape[-1])

    def __call__(
        self,
        images: Any,
        class_index: Optional[Sequence[int]] = None,
        entries: Optional[Iterable[Entry]] = None,
        alpha: Optional[float] = None,
    ) -> Prediction:
        """Run a batch.

        Args:
            images: (N, ...) array, what the graph's input takes; for a
                :class:`~dgl.predict.predictor.Predictor` (N, S, S, 3) BGR in 0..255, uint8 or float32.
            class_index: (N,) ints, the target classes; ``None`` takes the arg-max of each image.
            entries: the maps to compute, out of :attr:`entries`; ``None`` computes all.
            alpha: of this run, where it is adjustable; ``None`` takes the one given at the beginning.

        Returns:
            :class:`Prediction`.

        Raises:
            UserError: a class that the classifier does not have, or maps with NaN or infinity.
            ValueError: an entry that is not there, or alpha out of range or not adjustable.
        """
        feeds = dict(self._feeds)
        feeds.update({self._image: images, self._target: self._targets(len(images), class_index)})
        if alpha is not None:
            if self._alpha is None:
                raise ValueError(f"alpha {alpha}: it is part of this graph")
            check_alpha(alpha)
            feeds[self._alpha] = alpha
        prediction = self._session.run(self._chosen(entries), feeds)
        if not all(np.isfinite(raw).all() for raw in prediction.maps.values()):
            raise UserError(
                f"{self._name}: its maps are not finite; expected finite weights and a moderate --pa"
            )
        return prediction

    def _targets(self, count, class_index):
        if class_index is None:
            return np.full(count, ARG_MAX)
        if np.any(np.asarray(class_index) >= self.classes) or np.any(np.asarray(class_index) < 0):
            wrong = next(c for c in class_index if not 0 <= c < self.classes)
            raise UserError(
                f"class {wrong} is out of range: the checkpoint has classes 0 to {self.classes - 1}"
            )
        return class_index

    def _chosen(self, entries):
        if entries is None:
            return self._fetches
        try:
            maps = {entry: self._fetches.maps[entry] for entry in map(tuple, entries)}
        except KeyError as error:
            raise ValueError(f"no map {error}: there are {self.entries}") from None
        return self._fetches._replace(maps=maps)

    def close(self) -> None:
        """Free the session, unless it is somebody else's."""
        if self._owns_session:
            self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
