"""Attention maps in a graph, and the TensorFlow session that computes them, one run per batch."""

import contextlib
import logging
import threading
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, TypeVar

import numpy as np

from dgl.attribution import build_maps
from dgl.attribution.gradients import check_alpha, probabilities
from dgl.backbones.registry import Network
from dgl.data.class_names import ClassNames
from dgl.errors import ArgumentError, UserError, first_line, quote
from dgl.tf_compat import reference_kernels, tf
from dgl.utils.devices import session_config
from dgl.utils.startup import starting
from dgl.utils.types import ArrayLike, Session, SessionConfig, Tensor

_logger = logging.getLogger(__name__)

ARG_MAX = -1
_DILATED = (
    "; on CPUs this TensorFlow has no gradients of dilated convolutions: expected TensorFlow 2, or a layer "
    "behind them"
)
_REASON_CHARACTERS = 200
_NOISE = ("Graph execution error", "Detected at node", "Node: ", "File ", "Traceback")
_SUM_OF_PROBABILITIES = 1e-3

Entry = Tuple[str, str]


class Prediction(NamedTuple):
    """Classes and maps of a batch.

    Attributes:
        class_index: (N,) int32, the class of each map.
        probability: (N, classes) float32, softmax of the logits, or their sigmoids.
        logits: (N, classes) float32.
        maps: (method, layer) -> (N, H, W) float32, raw, at the layer's own resolution.
        failed: (place in the batch, reason) of each image whose logits or maps are not finite.
    """

    class_index: np.ndarray
    probability: np.ndarray
    logits: np.ndarray
    maps: Dict[Entry, np.ndarray]
    failed: Tuple[Tuple[int, str], ...] = ()


def inference_config(gpus: int = 0) -> SessionConfig:
    """``tf.ConfigProto`` of :func:`dgl.utils.devices.session_config`, with few rewrites on a CPU."""
    config = session_config(gpus)
    if not gpus:
        # Each rewriting pass copies all constants, and these change nothing here.
        rewrites = config.graph_options.rewrite_options
        rewrites.meta_optimizer_iterations = rewrites.ONE
        rewrites.layout_optimizer = rewrites.arithmetic_optimization = rewrites.OFF
        rewrites.memory_optimization = rewrites.NO_MEM_OPT
        if reference_kernels():
            # The number of cores per operation decides the order of its sums; the published program's
            # session, tensorpack's, uses one.
            config.intra_op_parallelism_threads = 1
    return config


def open_session(gpus: int = 0) -> Session:
    """A session of the current graph on so many GPUs, for the caller to close."""
    return tf.Session(config=inference_config(gpus))


def prediction_tensors(
    network: Network,
    methods: Sequence[str],
    layers: Sequence[str],
    last_layer: str,
    alpha: float,
    semantics: str,
    adjustable_alpha: bool,
    **settings: Any,
) -> Tuple[Tensor, Optional[Tensor], Prediction]:
    """Add maps to the graph of a network, with the arguments of :func:`dgl.attribution.build_maps`.

    Returns:
        tuple: (N,) int32 placeholder of the target classes, where :data:`ARG_MAX` stands for the most
        probable one; scalar float32 placeholder of each run's alpha, ``None`` unless it is adjustable;
        :class:`Prediction` of tensors.
    """
    target = tf.placeholder(tf.int32, [None], "target")
    best = tf.argmax(network.logits, axis=1, output_type=tf.int32)
    class_index = tf.where(tf.equal(target, ARG_MAX), best, target)
    fed_alpha, used = None, alpha
    if adjustable_alpha:
        used = fed_alpha = tf.placeholder_with_default(tf.constant(alpha, tf.float32), [], "alpha")
    maps = build_maps(
        network, methods, layers, last_layer, class_index, used, semantics, **settings
    )
    probability = probabilities(network.logits, network.head)
    return target, fed_alpha, Prediction(class_index, probability, network.logits, maps)


# Of the layers' activations in one run; gradients and their products take about six times as much.
MOST_BYTES = 2**28


def images_at_once(activations: Sequence[Tensor]) -> Optional[int]:
    """How many images to compute in one run, for the memory that maps of these layers (N, ...) take.

    More are not faster where layers are that large: all 18 of VGG16 at 224 x 224 allow four. ``None`` is
    any number, with the reference kernels of :mod:`dgl.tf_compat` and where sizes are not known.
    """
    shapes = [tensor.shape.as_list()[1:] for tensor in activations]
    if reference_kernels() or any(None in shape for shape in shapes):
        return None
    sizes = [np.prod(shape) * tensor.dtype.size for shape, tensor in zip(shapes, activations)]
    return max(1, MOST_BYTES // max(1, int(sum(sizes))))


_Self = TypeVar("_Self", bound="MapSession")


def batch_size(image: Tensor) -> Optional[int]:
    """How many images the tensor takes in a run: ``None`` for any number, 0 for one without a batch."""
    if image.shape.ndims in (0, 3):
        return 0
    size: Optional[int] = image.shape.as_list()[0] if image.shape.ndims else None
    return size


def _for_each_image(tensor: Tensor, value: Any, count: int) -> Any:
    """A value for one image, repeated for a batch where the tensor has a row per image."""
    if not tensor.shape.ndims or tensor.shape.as_list()[0] is not None:
        return value
    array = np.asarray(value)
    if array.ndim == tensor.shape.ndims - 1:
        array = array[np.newaxis]
    if array.ndim != tensor.shape.ndims or len(array) != 1:
        return value
    return np.repeat(array, count, axis=0)


class MapSession:
    """Computes maps of one graph, which subclasses build.

    Attributes:
        entries: list of (method, layer), the order of the maps.
        strict: whether an image whose logits or maps are not finite is an error; otherwise it is named in
            ``failed`` of the prediction, and all other images are done.
    """

    class_names = ClassNames()  # of the classes, in subclasses that know them
    strict = True

    def __init__(
        self,
        session: Session,  # of the graph, with all variables filled
        image: Tensor,  # that batches are fed to
        target: Tensor,  # (N,) int32 placeholder, see prediction_tensors
        fetches: Prediction,  # of tensors
        name: str,  # of the classifier in messages, such as its file
        alpha: Optional[Tensor] = None,  # placeholder; without one it is a number in the graph
        owns_session: bool = True,  # whether close() closes it
        feeds: Optional[Mapping[Any, Any]] = None,  # tensor -> value, in every run
        flip: bool = False,  # whether maps are averaged with those of mirrored images (N, H, W, C)
        at_once: Optional[int] = None,  # most images of a run, see images_at_once
        beside_others: Optional[int] = None,  # most of a run beside another thread's; others wait
    ):
        self.entries = list(fetches.maps)
        self._session = session
        self._image = image
        self._target = target
        self._fetches = fetches
        self._name = name
        self._alpha = alpha
        self._owns_session = owns_session
        self._feeds = dict(feeds or {})
        self._flip = flip
        self._at_once = at_once
        self._beside_others = beside_others or 0
        self._turn = threading.Lock()
        self._is_checked = True
        self._has_run = False
        self._told: Set[Entry] = set()

    @property
    def classes(self) -> int:
        """Number of logits."""
        return int(self._fetches.logits.shape[-1])

    def class_name(self, class_index: int) -> str:
        """The class's name, or its index as text where names are not known."""
        return self.class_names.name(class_index)

    def __call__(
        self,
        images: ArrayLike,
        class_index: Optional[Sequence[int]] = None,
        entries: Optional[Iterable[Entry]] = None,
        alpha: Optional[float] = None,
    ) -> Prediction:
        """Run a batch.

        Args:
            images: (N, ...) array for the graph's input; for a
                :class:`~dgl.predict.predictor.Predictor` (N, S, S, 3) BGR in 0..255, uint8 or float32.
            class_index: (N,) ints, the target classes; ``None`` takes the arg-max of each image.
            entries: the maps to compute, out of :attr:`entries`; ``None`` computes all.
            alpha: of this run, if it is adjustable; ``None`` takes that of the graph.

        Returns:
            :class:`Prediction`.

        Raises:
            UserError: a class that the classifier does not have, an image that fails where the
                session is ``strict``, or TensorFlow cannot run the graph on these images.
            ValueError: an unknown entry, or alpha out of range or not adjustable.
        """
        feeds = dict(self._feeds)
        targets = self._targets(len(images), class_index)
        if alpha is not None:
            if self._alpha is None:
                raise ArgumentError(f"alpha {alpha}: it is part of this graph")
            check_alpha(alpha)
            feeds[self._alpha] = alpha
        chosen = self._chosen(entries)
        prediction = self._run(chosen, images, targets, feeds)
        if self._flip:
            mirrored = np.asarray(images)[:, :, ::-1]
            others = self._run(chosen, mirrored, prediction.class_index, feeds).maps
            maps = {e: (raw + others[e][:, :, ::-1]) / 2 for e, raw in prediction.maps.items()}
            prediction = prediction._replace(maps=maps)
        self._check_probabilities(prediction.logits)
        failed = self._failed(prediction)
        if failed and self.strict:
            raise UserError(failed[0][1])
        self._tell_constant(prediction)
        return prediction._replace(failed=failed)

    def _run(
        self, chosen: Prediction, images: ArrayLike, targets: ArrayLike, feeds: Dict[Any, Any]
    ) -> Prediction:
        """Run the graph once, or as often as its memory or a batch of fixed size demands."""
        count, fixed = len(images), batch_size(self._image)
        size = (self._at_once or count) if fixed is None else fixed
        if size == count or (fixed is None and size > count):
            return self._run_once(chosen, {**feeds, self._image: images, self._target: targets})
        images, targets = np.asarray(images), np.asarray(targets)
        parts = []
        for start in range(0, count, size or 1):
            places = np.arange(start, start + (size or 1))
            # The last batch of a fixed size is filled with its last image.
            places = places[places < count] if fixed is None else np.minimum(places, count - 1)
            fed = images[places] if size else images[start]
            own = {**feeds, self._image: fed, self._target: targets[places]}
            parts.append(self._run_once(chosen, own))
        joined: Prediction = tf.nest.map_structure(
            lambda *arrays: np.concatenate(arrays)[:count], *parts
        )
        return joined

    def _run_once(self, chosen: Prediction, feeds: Dict[Any, Any]) -> Prediction:
        count = len(feeds[self._target])
        for tensor in self._feeds:
            feeds[tensor] = _for_each_image(tensor, feeds[tensor], count)
        may_overlap = self._has_run and count <= self._beside_others
        is_alone = self._turn.acquire(blocking=not may_overlap)
        # Beside another run, one that keeps to its own thread waits less for cores.
        options = None if is_alone else tf.RunOptions(inter_op_thread_pool=-1)
        try:
            with contextlib.nullcontext() if self._has_run else starting():
                found: Prediction = self._session.run(chosen, feeds, options=options)
            self._has_run = True
        except (tf.errors.OpError, ValueError) as error:
            # "Graph execution error:" is followed by where and what.
            lines = getattr(error, "message", "").splitlines()
            told = [line.strip() for line in lines if line.strip()]
            told = [line for line in told if not line.startswith(_NOISE)] or [first_line(error)]
            reason = quote(told[0], _REASON_CHARACTERS)
            hint = _DILATED if "dilation rate" in reason else ""
            raise UserError(f"{self._name}: TensorFlow cannot run it ({reason}){hint}") from None
        finally:
            if is_alone:
                self._turn.release()
        return found

    def _failed(self, prediction: Prediction) -> Tuple[Tuple[int, str], ...]:
        """Places and reasons of the images whose logits or maps are not finite."""
        found: Dict[int, str] = {}
        for place in np.flatnonzero(~np.isfinite(prediction.logits).all(axis=1)):
            found[int(place)] = (
                f"{self._name}: its logits are not finite; expected finite weights and images in the range "
                "that it was trained on"
            )
        for (method, layer), raw in prediction.maps.items():
            for place in np.flatnonzero(~np.isfinite(raw).all(axis=(1, 2))):
                found.setdefault(
                    int(place),
                    f"{self._name}: its map of {method} at {layer} is not finite; expected finite weights "
                    "and a moderate --pa",
                )
        return tuple(sorted(found.items()))

    def _tell_constant(self, prediction: Prediction) -> None:
        """Warn once of an entry whose map is the same everywhere, so that it has no box."""
        for entry, raw in prediction.maps.items():
            constant = np.ptp(raw, axis=(1, 2)) == 0
            if constant.any() and raw[0].size > 1 and entry not in self._told:
                self._told.add(entry)
                _logger.warning(
                    "%s: the map of %s at %s is the same everywhere in %d of %d images: "
                    "nothing there speaks for the class; another layer or method may tell more",
                    *(self._name, *entry, constant.sum(), len(constant)),
                )

    def _check_probabilities(self, logits: np.ndarray) -> None:
        """Refuse scores that are probabilities in every image: their gradients vanish where it is sure."""
        if self._is_checked or logits.shape[1] < 2 or not len(logits):
            return
        sums = logits.sum(axis=1)
        if logits.min() >= 0 and np.abs(sums - 1).max() < _SUM_OF_PROBABILITIES:
            raise UserError(
                f"{self._name}: its scores are from 0 to 1 and sum to 1 in every image: probabilities; "
                "expected the logits that they are computed from"
            )
        self._is_checked = True

    def _targets(self, count: int, class_index: Optional[Sequence[int]]) -> ArrayLike:
        if class_index is None:
            return np.full(count, ARG_MAX)
        for index in class_index:
            if not 0 <= index < self.classes:
                raise UserError(
                    f"class {index} is out of range: the checkpoint has classes 0 to {self.classes - 1}"
                )
        return class_index

    def _chosen(self, entries: Optional[Iterable[Entry]]) -> Prediction:
        if entries is None:
            return self._fetches
        try:
            maps = {(m, layer): self._fetches.maps[m, layer] for m, layer in entries}
            return self._fetches._replace(maps=maps)
        except KeyError as error:
            raise ArgumentError(f"no map {error}: there are {self.entries}") from None

    def close(self) -> None:
        """Close the session, unless the caller passed it."""
        if self._owns_session:
            self._session.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
