"""`Localizer`: from images to classes, maps and boxes in a few lines of Python."""

import functools
import itertools
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from dgl.attribution.gradients import KERNEL
from dgl.data.any_image import decoded_image, listed_images
from dgl.data.class_names import ClassNames
from dgl.data.image_io import Decoded
from dgl.data.views import demo_input
from dgl.errors import ArgumentError
from dgl.predict.localization import Localization
from dgl.predict.postprocess import (
    DEFAULT_THRESHOLD,
    MINMAX,
    Normalization,
    largest_box,
    parse_normalization,
    score_map,
)
from dgl.utils.devices import FLOAT32

if TYPE_CHECKING:
    from dgl.predict.session import MapSession, Prediction

Image = Any  # what dgl.data.any_image.decoded_image takes
DEFAULT_BATCH = 8


class Localizer:
    """Localizes the objects of a classifier in images.

    By default the classifier is EfficientNet-Lite0 with ImageNet's classes. Close it, or use a ``with``::

        with Localizer() as localizer:
            for found in localizer(["a.jpg", "b.jpg"]):
                print(found.class_name, found.probability, found.box)

    :meth:`from_keras` takes a model of Keras in memory, :meth:`from_graph` any TensorFlow graph.

    Attributes:
        predictor: the :class:`~dgl.predict.session.MapSession` behind it, for raw maps.
        entry: (method, layer) of the map and the box.
        threshold: float in [0, 1], fraction of the map's maximum that counts as object.
        class_names: :class:`~dgl.data.class_names.ClassNames`, empty where names are not known.
    """

    predictor: "MapSession"
    entry: Tuple[str, str]
    threshold: float
    class_names: ClassNames

    def __init__(
        self,
        load: Optional[str] = None,
        mode: Optional[str] = None,
        layer: Union[int, str, None] = None,
        method: str = "dgl",
        alpha: float = 10.0,
        threshold: Optional[float] = None,
        normalize: Optional[str] = None,
        image_size: Optional[int] = None,
        data_set: Optional[str] = None,
        gpu: Optional[str] = None,
        precision: str = FLOAT32,
        batch: int = DEFAULT_BATCH,
        preprocess: Optional[str] = None,
        output: Optional[str] = None,
        feeds: Optional[Mapping[str, Any]] = None,
        class_names: Optional[Sequence[str]] = None,
    ):
        """A localizer of one of this project's backbones, or of a file with a model of others.

        Args:
            load: checkpoint: a TensorFlow prefix, its folder, a ``.ckpt`` or a ``.npz``; or a short name
                for ImageNet weights, by default those of ``mode``, or of ``efficientnet_lite0``; or a model
                of others: ``.keras``, ``.h5``, ``.pb``, ``.onnx`` or a SavedModel's folder.
            mode: backbone; by default that of the checkpoint.
            layer: index or name (by default the backbone's), for methods without a layer of their own.
            method: a name in :data:`dgl.attribution.METHODS`.
            alpha: target score of DGL's loss gradient, see :func:`dgl.attribution.loss_gradients`.
            threshold: float in [0, 1], fraction of the map's maximum that counts as object; by default
                the method's own, else the backbone's.
            normalize: how the map is brought to [0, 1], as ``--normalize`` takes it (see
                :mod:`dgl.predict.postprocess`); by default as for ``threshold``.
            image_size, data_set, gpu, precision: see :class:`~dgl.predict.predictor.Predictor`.
            batch: images per run of the network.
            preprocess, output, feeds, class_names: of a model of others: a name in
                :data:`dgl.foreign.preprocessing.PREPROCESSINGS`, the output with the scores where there are
                several, name of a further input -> its value, and one name per class.

        Raises:
            UserError: no such checkpoint, or one that does not fit; unknown mode, layer or method.
            ValueError: a threshold or a batch out of range.
        """
        from dgl.predict.predictor import defaults_of, predictor_of
        from dgl.weights.foreign_model import ForeignModel, model_kind
        from dgl.weights.identify import default_weights

        mode, load = default_weights(mode, load)
        foreign = ForeignModel(
            preprocess, output, tuple((feeds or {}).items()), tuple(class_names or ())
        )
        if foreign != ForeignModel() and model_kind(load) is None:
            raise ArgumentError(
                f"preprocess, output, feeds, class_names: expected a model of others, not {load}"
            )
        defaults = defaults_of(mode, load, method)
        if threshold is None:
            threshold = defaults.threshold
        normalization = parse_normalization(normalize or defaults.normalize)
        _check(threshold, batch)
        predictor = predictor_of(
            foreign,
            mode=mode,
            load=load,
            layers=[defaults.layer if layer is None else layer],
            methods=[method],
            alpha=alpha,
            image_size=image_size,
            data_set=data_set,
            gpu=gpu,
            precision=precision,
        )

        view = functools.partial(demo_input, size=predictor.image_size)
        self._use(predictor, view, np.stack, threshold, batch, predictor.class_names, normalization)

    def _use(
        self,
        predictor: "MapSession",
        view: Callable[[np.ndarray], np.ndarray],
        finish: Callable[[List[np.ndarray]], Any],
        threshold: float,
        batch: int,
        class_names: Optional[Sequence[str]],
        normalization: Normalization,
    ) -> None:
        """Take a predictor, ``view``, which prepares an image, and ``finish``, which makes a batch."""
        self.predictor = predictor
        self.entry = predictor.entries[0]
        self.threshold = threshold
        self.class_names = ClassNames.of(class_names, predictor.classes)
        self._view = view
        self._finish = finish
        self._batch = batch
        self._normalization = normalization

    @classmethod
    def from_checkpoint(cls, load: str, mode: Optional[str] = None, **settings: Any) -> "Localizer":
        """``Localizer(load, mode, ...)``."""
        return cls(load, mode, **settings)

    @classmethod
    def from_graph(
        cls,
        logits: Any,
        activations: Union[Any, Mapping[str, Any]],
        image: Optional[Any] = None,
        preprocess: Union[Callable[[np.ndarray], np.ndarray], str, None] = None,
        method: str = "dgl",
        alpha: float = 10.0,
        threshold: float = DEFAULT_THRESHOLD,
        normalize: str = str(MINMAX),
        semantics: str = KERNEL,
        image_size: Optional[int] = None,
        head_weights: Optional[Any] = None,
        data_format: Optional[str] = None,
        class_names: Optional[Sequence[str]] = None,
        session: Optional[Any] = None,
        feeds: Optional[Mapping[Any, Any]] = None,
        batch: int = DEFAULT_BATCH,
        head: Optional[str] = None,
    ) -> "Localizer":
        """A localizer of any TF-1-style graph.

        Args:
            logits: (N, classes) float tensor, before softmax (:func:`dgl.foreign.logits_of` finds them
                behind one).
            activations: the layer, (N, H, W, C) after its ReLU, or several, as name -> tensor, of which
                the first gives the box.
            image: the tensor to feed; by default the one placeholder of images.
            preprocess: (N, S, S, 3) float32 RGB in 0..255 -> what the network was trained on, or the name
                of a usual one (:data:`dgl.foreign.preprocessing.PREPROCESSINGS`); by default fed as it is.
            method: a name in :data:`dgl.attribution.METHODS`.
            alpha, semantics: see :func:`dgl.attribution.loss_gradients`.
            threshold, normalize: as in :meth:`__init__`.
            image_size: side of the input in pixels; by default that of ``image``, else 224.
            head_weights, data_format, session, feeds, head: see
                :class:`~dgl.predict.graph_predictor.GraphPredictor`.
            class_names: one name per class, or ``None``.
            batch: images per run of the network.

        Raises:
            ValueError: tensors that do not fit together; see
                :class:`~dgl.predict.graph_predictor.GraphPredictor`.
            UserError: unknown method.
        """
        from dgl.predict.feeding import ImageFeed
        from dgl.predict.graph_predictor import GraphPredictor, named

        _check(threshold, batch)
        predictor = GraphPredictor(
            logits,
            named(activations),
            image,
            [method],
            alpha,
            semantics,
            head_weights,
            data_format,
            session,
            feeds,
            head=head,
            image_size=image_size,
        )
        try:
            feed = ImageFeed(predictor.image, preprocess, image_size)
            names = ClassNames.of(class_names, predictor.classes).check_outputs("class_names")
        except ArgumentError:
            predictor.close()
            raise
        self = cls.__new__(cls)
        normalization = parse_normalization(normalize)
        self._use(predictor, feed.view, feed.finish, threshold, batch, names, normalization)
        return self

    @classmethod
    def from_keras(
        cls,
        model: Any,
        layer: Union[int, str, None] = None,
        preprocess: Union[Callable[[np.ndarray], np.ndarray], str, None] = None,
        image_size: Optional[int] = None,
        output: Union[int, str, None] = None,
        feeds: Optional[Mapping[str, Any]] = None,
        **settings: Any,
    ) -> "Localizer":
        """A localizer of a ``tf.keras`` model in memory: tf-keras, Keras 2 or Keras 3 on TensorFlow.

        The weights are copied: a model that is trained further needs another localizer.

        Args:
            model: a classifier of images that ends in a softmax, in sigmoids or in logits.
            layer: name of a layer of Keras or of an operation, or index, 0 the last; by default the last
                activation that has height and width.
            preprocess: as for :meth:`from_graph`; by default none, for models that normalize inside.
            image_size: side of the input in pixels, for models that take any; by default 224.
            output: name or index of the output with the scores, where there are several.
            feeds: name of a further input -> its value, for one image or for all.
            settings: further arguments of :meth:`from_graph`, such as ``class_names`` and ``threshold``.

        Raises:
            UserError: no Keras model, or one that does not fit (:func:`dgl.foreign.load_keras`); no such
                layer.
            ValueError: see :meth:`from_graph`.
        """
        from dgl.foreign import load_keras, logits_of

        loaded = load_keras(model, image_size, output)
        logits = logits_of(loaded.output)
        activation = loaded.activation(logits, layer)
        named_feeds = {loaded.inputs.get(key, key): value for key, value in (feeds or {}).items()}
        return cls.from_graph(
            logits, activation, loaded.image, preprocess, feeds=named_feeds, **settings
        )

    def __call__(
        self,
        images: Union[Image, Iterable[Image]],
        class_index: Union[int, str, Sequence[Union[int, str]], None] = None,
        channels: str = "rgb",
    ) -> List[Localization]:
        """Localize in images of any size.

        Args:
            images: one or several, in a list, a generator or an array (N, H, W, 3): paths, PIL images, or
                arrays, RGB or gray, of 8 or 16 bits or floats in 0..1
                (:func:`dgl.data.any_image.decoded_image`).
            class_index: the class to locate, one for all or one per image: an index, a name, its
                beginning, or a WordNet id; ``None`` takes the most probable one of each.
            channels: ``"bgr"`` for arrays as OpenCV reads them, which nothing in an array shows.

        Returns:
            list of :class:`Localization`, one per image.

        Raises:
            UserError: an unreadable image, a class that there is not, or maps with NaN or infinity.
            ArgumentError: an array of another shape or range, or classes of another number than images.
        """
        pairs = self._with_classes(listed_images(images), class_index)
        found: List[Localization] = []
        for batch in iter(lambda: list(itertools.islice(pairs, self._batch)), []):
            decoded = [decoded_image(image, channels) for image, _ in batch]
            views = self._finish([self._view(one.image) for one in decoded])
            wanted = None if class_index is None else [own for _, own in batch]
            prediction = self.predictor(views, wanted, [self.entry])
            raw = prediction.maps[self.entry]
            found.extend(
                self._localization(one, prediction, i, raw[i]) for i, one in enumerate(decoded)
            )
        return found

    def _localization(
        self, decoded: Decoded, prediction: "Prediction", i: int, raw: np.ndarray
    ) -> Localization:
        height, width = decoded.image.shape[:2]
        resized = score_map(raw, height, width, self._normalization)
        found = decoded.to_file(largest_box(resized, self.threshold))
        x0, y0, x1, y1 = (int(value) for value in found)
        # A box without extent stands for no contour; a map that is nowhere positive has no object.
        has_region = raw.max() > 0 and (x1, y1) > (x0, y0)
        class_index = int(prediction.class_index[i])
        return Localization(
            class_index,
            float(prediction.probability[i, class_index]),
            resized,
            (x0, y0, x1, y1) if has_region else None,
            self.class_name(class_index),
            decoded.image,
            self.threshold,
            decoded.size,
        )

    def class_name(self, class_index: int) -> str:
        """The class's name; its index as text where names are not known."""
        return self.class_names.name(class_index)

    def _with_classes(self, images: Iterable[Image], wanted: Any) -> Iterator[Tuple[Image, Any]]:
        """(image, its class or ``None``) of each image."""
        if wanted is None or np.ndim(wanted) == 0:
            own = None if wanted is None else self.class_names.find(wanted)
            return zip(images, itertools.repeat(own))
        images = list(images)
        if len(wanted) != len(images):
            raise ArgumentError(
                f"class_index: expected {len(images)} classes, one per image, got {len(wanted)}"
            )
        return zip(images, [self.class_names.find(value) for value in wanted])

    def close(self) -> None:
        """Close the session, unless it was passed."""
        self.predictor.close()

    def __enter__(self) -> "Localizer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _check(threshold: float, batch: int) -> None:
    if not 0 <= threshold <= 1:
        raise ArgumentError(f"threshold {threshold}: expected a value in [0, 1]")
    if batch < 1 or batch != int(batch):
        raise ArgumentError(f"batch {batch}: expected a whole number, 1 or more")
