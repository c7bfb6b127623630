"""`Localizer`: from images to classes, maps and boxes in a few lines of Python."""

from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.attribution.build import CHANNELS_LAST
from dgl.attribution.gradients import KERNEL
from dgl.data.class_names import ClassNames
from dgl.data.image_io import read_image
from dgl.data.views import demo_input, resize_bilinear_tf1
from dgl.predict.postprocess import DEFAULT_THRESHOLD, largest_box, score_map
from dgl.predict.session import MapSession, Prediction
from dgl.utils.devices import FLOAT32
from dgl.utils.parallel import chunks_of

Image = Union[str, np.ndarray]
DEFAULT_LAYER = 2
DEFAULT_BATCH = 8


class Localization(NamedTuple):
    """The class, map and box of one image.

    Attributes:
        class_index: int, the requested class, or the most probable one.
        probability: float, its softmax probability.
        map: (H, W) float32 in [0, 1], at the image's own size.
        box: (x0, y0, x1, y1), ints in pixels of the image, around the map's largest region above the
            threshold; all 0 where there is none.
    """

    class_index: int
    probability: float
    map: np.ndarray
    box: Tuple[int, int, int, int]


class Localizer:
    """Localizes the objects of a classifier in images.

    Create it with :meth:`from_checkpoint` or :meth:`from_graph`; close it, or use it in a ``with``::

        with Localizer.from_checkpoint("train_log/vgg_birds") as localizer:
            for found in localizer(["a.jpg", "b.jpg"]):
                print(found.class_index, found.probability, found.box)

    Attributes:
        predictor: the :class:`~dgl.predict.session.MapSession` behind it, for raw maps.
        entry: (method, layer) of the map and the box.
        threshold: float in [0, 1], fraction of the map's maximum that counts as object.
        class_names: :class:`~dgl.data.class_names.ClassNames`, empty where names are not known.
    """

    def __init__(
        self,
        predictor: MapSession,
        view: Callable[[np.ndarray], np.ndarray],
        threshold: float = DEFAULT_THRESHOLD,
        batch: int = DEFAULT_BATCH,
        class_names: Optional[Sequence[str]] = None,
        finish: Callable[[np.ndarray], Any] = np.asarray,
    ):
        """Combine a predictor with the preparation of its images.

        Args:
            predictor: its first entry gives map and box; closed with the localizer.
            view: (H, W, 3) uint8 RGB -> the classifier's input without a batch dimension.
            threshold: float in [0, 1], fraction of the map's maximum that counts as object.
            batch: images per run of the network.
            class_names: one name per class, or ``None``.
            finish: stacked views -> array that is fed.

        Raises:
            ValueError: a threshold or a batch out of range.
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold {threshold}: expected a value in [0, 1]")
        if batch < 1:
            raise ValueError(f"batch {batch}: expected 1 or more")
        self.predictor = predictor
        self.entry = predictor.entries[0]
        self.threshold = threshold
        self._view = view
        self._finish = finish
        self._batch = batch
        self.class_names = ClassNames.of(class_names, predictor.classes)

    @classmethod
    def from_checkpoint(
        cls,
        load: str,
        mode: Optional[str] = None,
        layer: Union[int, str] = DEFAULT_LAYER,
        method: str = "dgl",
        alpha: float = 10.0,
        threshold: float = DEFAULT_THRESHOLD,
        image_size: Optional[int] = None,
        data_set: Optional[str] = None,
        gpu: Optional[str] = None,
        precision: str = FLOAT32,
        batch: int = DEFAULT_BATCH,
    ) -> "Localizer":
        """A localizer of a checkpoint of one of this project's backbones.

        Args:
            load: checkpoint: a TensorFlow prefix, its folder, a ``.ckpt`` or a ``.npz``; or a short name
                for ImageNet weights.
            mode: backbone; by default that of the checkpoint.
            layer: index or name of ``--clayer``; ignored by methods with a layer of their own.
            method: a name in :data:`dgl.attribution.METHODS`.
            alpha: target score of DGL's loss gradient, see :func:`dgl.attribution.loss_gradients`.
            threshold: float in [0, 1], fraction of the map's maximum that counts as object.
            image_size, data_set, gpu, precision: see :class:`~dgl.predict.predictor.Predictor`.
            batch: images per run of the network.

        Raises:
            UserError: no such checkpoint, or one that does not fit; unknown mode, layer or method.
            ValueError: a threshold or a batch out of range.
        """
        from dgl.predict.predictor import Predictor
        from dgl.weights.identify import mode_for

        if mode is None:
            mode = mode_for(load)
        predictor = Predictor(
            mode,
            load,
            [layer],
            [method],
            alpha,
            image_size=image_size,
            data_set=data_set,
            gpu=gpu,
            precision=precision,
        )

        def view(image: np.ndarray) -> np.ndarray:
            return demo_input(image, predictor.image_size)

        return cls(predictor, view, threshold, batch, predictor.class_names)

    @classmethod
    def from_graph(
        cls,
        logits: Any,
        activations: Union[Any, Mapping[str, Any]],
        image: Optional[Any] = None,
        preprocess: Optional[Callable[[np.ndarray], np.ndarray]] = None,
        method: str = "dgl",
        alpha: float = 10.0,
        threshold: float = DEFAULT_THRESHOLD,
        semantics: str = KERNEL,
        image_size: Optional[int] = None,
        head_weights: Optional[Any] = None,
        data_format: str = CHANNELS_LAST,
        class_names: Optional[Sequence[str]] = None,
        session: Optional[Any] = None,
        feeds: Optional[Mapping[Any, Any]] = None,
        batch: int = DEFAULT_BATCH,
    ) -> "Localizer":
        """A localizer of any TF-1-style graph.

        Args:
            logits: (N, classes) float tensor, before softmax (:func:`dgl.foreign.logits_of` finds them
                behind one).
            activations: the layer, (N, H, W, C) after its ReLU, or several, as name -> tensor, of which
                the first gives the box.
            image: the tensor to feed; by default the one placeholder of images.
            preprocess: (N, S, S, 3) float32 RGB in 0..255 -> what the network was trained on
                (:mod:`dgl.foreign.preprocessing` has the usual ones); by default fed as it is.
            method: a name in :data:`dgl.attribution.METHODS`.
            alpha, semantics: see :func:`dgl.attribution.loss_gradients`.
            threshold: float in [0, 1], fraction of the map's maximum that counts as object.
            image_size: side of the input in pixels; by default that of ``image``, else 224.
            head_weights, data_format, session, feeds: see
                :class:`~dgl.predict.predictor.GraphPredictor`.
            class_names: one name per class, or ``None``.
            batch: images per run of the network.

        Raises:
            ValueError: tensors that do not fit together; see
                :class:`~dgl.predict.predictor.GraphPredictor`.
            UserError: unknown method.
        """
        from dgl.predict.predictor import (
            GraphPredictor,
            image_shape,
            is_channels_first,
            named,
        )

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
        )
        fed = predictor.image
        height, width = (image_size, image_size) if image_size else image_shape(fed)

        def view(pixels: np.ndarray) -> np.ndarray:
            return resize_bilinear_tf1(pixels, height, width)

        def finish(batch: np.ndarray) -> np.ndarray:
            if preprocess is not None:
                batch = preprocess(batch)
            if fed.shape.ndims == 4 and is_channels_first(fed) and batch.shape[-1] == 3:
                batch = np.transpose(batch, (0, 3, 1, 2))
            if fed.dtype.is_integer and batch.dtype.kind == "f":
                batch = np.rint(batch)
            return batch.astype(fed.dtype.as_numpy_dtype)

        return cls(predictor, view, threshold, batch, class_names, finish)

    def __call__(
        self,
        images: Sequence[Image],
        class_index: Union[int, str, Sequence[Union[int, str]], None] = None,
    ) -> List[Localization]:
        """Localize in images of any size.

        Args:
            images: each a path, or a (H, W, 3) uint8 RGB array.
            class_index: the class to locate, one for all or one per image: an index, a name, its
                beginning, or a WordNet id; ``None`` takes the most probable one of each.

        Returns:
            list of :class:`Localization`, one per image.

        Raises:
            UserError: an image that cannot be read, a class that the classifier does not have, or maps
                with NaN or infinity.
            ValueError: an array of another shape or type, or classes of another number than images.
        """
        if isinstance(images, str) or (isinstance(images, np.ndarray) and images.ndim == 3):
            raise ValueError("images: expected a list of images, got a single one")
        classes = self._classes_of(class_index, len(images))
        found: List[Localization] = []
        for places in chunks_of(list(range(len(images))), self._batch):
            arrays = [_pixels(images[place]) for place in places]
            views = self._finish(np.stack([self._view(pixels) for pixels in arrays]))
            wanted = None if classes is None else [classes[place] for place in places]
            prediction = self.predictor(views, wanted, [self.entry])
            raw = prediction.maps[self.entry]
            found.extend(
                self._localization(pixels, prediction, i, raw[i]) for i, pixels in enumerate(arrays)
            )
        return found

    def _localization(
        self, pixels: np.ndarray, prediction: Prediction, i: int, raw: np.ndarray
    ) -> Localization:
        height, width = pixels.shape[:2]
        resized = score_map(raw, height, width)
        x0, y0, x1, y1 = (int(value) for value in largest_box(resized, self.threshold))
        class_index = int(prediction.class_index[i])
        probability = float(prediction.probability[i, class_index])
        return Localization(class_index, probability, resized, (x0, y0, x1, y1))

    def class_name(self, class_index: int) -> str:
        """The class's name, or its index as text where names are not known."""
        return self.class_names.name(class_index)

    def _classes_of(self, class_index: Any, count: int) -> Optional[List[int]]:
        """One class per image, or ``None``."""
        if class_index is None:
            return None
        if np.ndim(class_index) == 0:
            return [self.class_names.find(class_index)] * count
        if len(class_index) != count:
            raise ValueError(
                f"class_index: expected {count} classes, one per image, got {len(class_index)}"
            )
        return [self.class_names.find(value) for value in class_index]

    def close(self) -> None:
        """Close the session, unless it was passed."""
        self.predictor.close()

    def __enter__(self) -> "Localizer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _pixels(image: Image) -> np.ndarray:
    if isinstance(image, str) or hasattr(image, "__fspath__"):
        return read_image(str(image))
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(
            f"image: expected a path or uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}"
        )
    return pixels
