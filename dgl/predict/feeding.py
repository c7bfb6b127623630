"""Bring images into the form that a graph's input takes: size, channels, number type, encoded bytes."""

import io
from typing import Any, Callable, Optional, Tuple, Union

import numpy as np
import PIL.Image

from dgl.data.views import resize_bilinear_tf1
from dgl.errors import ArgumentError
from dgl.foreign.preprocessing import PREPROCESSINGS
from dgl.tf_compat import lazy_tf as tf

DEFAULT_SIZE = 224
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's mode L
_LEAST_GRAYS = 200  # of 256 that are left after rounding

Preprocess = Callable[[np.ndarray], np.ndarray]


class ImageFeed:
    """Prepares RGB images for the tensor that they are fed to.

    Attributes:
        height, width: of the input in pixels.
    """

    def __init__(
        self,
        fed: Any,
        preprocess: Union[Preprocess, str, None] = None,
        image_size: Optional[int] = None,
    ):
        """Describe the input.

        Args:
            fed: the tensor, of (N, H, W, C), (N, C, H, W), (H, W, C), or of texts.
            preprocess: (N, H, W, 3) float32 RGB in 0..255 -> what the network was trained on, or a name in
                :data:`~dgl.foreign.preprocessing.PREPROCESSINGS`.
            image_size: side in pixels where the tensor takes any; by default :data:`DEFAULT_SIZE`.

        Raises:
            ValueError: the tensor takes another size, or whole numbers, which ``preprocess`` does not give.
        """
        self._fed = fed
        if isinstance(preprocess, str):
            preprocess = PREPROCESSINGS.get(preprocess, preprocess)
        if preprocess is not None and not callable(preprocess):
            raise ArgumentError(
                f"preprocess {preprocess!r}: expected a function or one of {', '.join(PREPROCESSINGS)}"
            )
        self._preprocess = preprocess
        self._is_encoded = fed.dtype == tf.string
        self.height, self.width = image_shape(fed, image_size)
        if image_size and {self.height, self.width} != {image_size}:
            raise ArgumentError(
                f"image_size {image_size}: {fed.name} takes {self.height} x {self.width} pixels"
            )
        if self._preprocess is not None and fed.dtype.is_integer:
            grays = np.repeat(np.arange(256.0).reshape(1, 16, 16, 1), 3, axis=3)
            if len(np.unique(self.finish(grays))) < _LEAST_GRAYS:
                raise ArgumentError(
                    f"preprocess: {fed.name} takes whole numbers ({fed.dtype.name}); expected none, or one "
                    "that gives them"
                )

    def view(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) RGB in 0..255 -> the input of one image, before :meth:`finish`.

        Encoded images keep their size: the graph resizes them itself.
        """
        if self._is_encoded:
            return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)
        return resize_bilinear_tf1(pixels, self.height, self.width)

    def finish(self, batch: Any) -> np.ndarray:
        """Views, a list or (N, H, W, 3) -> the array that is fed."""
        if self._is_encoded:
            encoded = np.empty(len(batch), object)
            encoded[:] = [_png(view) for view in batch]
            return encoded
        batch = np.stack(list(batch)).astype(np.float32)
        channels = channels_of(self._fed)
        if channels == 1:
            batch = np.repeat(batch @ _LUMA[:, np.newaxis], 3, axis=-1)
        if self._preprocess is not None:
            count, batch = len(batch), np.asarray(self._preprocess(batch))
            if batch.ndim != 4 or len(batch) != count or batch.dtype.kind not in "iuf":
                raise ArgumentError(
                    f"preprocess: gave {batch.dtype} of shape {batch.shape} for {count} images; expected "
                    "numbers (N, H, W, 3)"
                )
        if channels == 1 and batch.shape[-1] == 3:
            batch = batch[..., :1]
        elif channels == 4 and batch.shape[-1] == 3:
            # An image without transparency.
            white = np.full((1, 1, 1, 3), 255, np.float32)
            opaque = white if self._preprocess is None else np.asarray(self._preprocess(white))
            opacity = np.full(batch.shape[:-1] + (1,), opaque.max(), batch.dtype)
            batch = np.concatenate([batch, opacity], axis=-1)
        is_first = self._fed.shape.ndims == 4 and is_channels_first(self._fed)
        if is_first and batch.shape[-1] in (1, 3, 4):
            batch = np.transpose(batch, (0, 3, 1, 2))
        kind = np.dtype(self._fed.dtype.as_numpy_dtype)
        if self._fed.dtype.is_integer and batch.dtype.kind == "f":
            batch = np.clip(np.rint(batch), np.iinfo(kind).min, np.iinfo(kind).max)
        return np.asarray(batch.astype(kind))


def channels_of(image: Any) -> Optional[int]:
    """Number of channels of an image tensor, ``None`` where unknown."""
    if image.shape.ndims not in (3, 4):
        return None
    sizes = image.shape.as_list()
    found: Optional[int] = sizes[-3] if is_channels_first(image) else sizes[-1]
    return found


def is_channels_first(image: Any) -> bool:
    """Whether an image tensor's shape is (N, C, H, W), C being 1, 3 or 4."""
    sizes = image.shape.as_list()
    return bool(sizes[-3] in (1, 3, 4) and sizes[-1] not in (1, 3, 4))


def image_shape(image: Any, image_size: Optional[int] = None) -> Tuple[int, int]:
    """(height, width) of an image tensor in pixels; where unknown, as of :class:`ImageFeed`."""
    default = image_size or DEFAULT_SIZE
    if image.shape.ndims not in (3, 4):
        return default, default
    sizes = image.shape.as_list()
    height, width = sizes[-2:] if is_channels_first(image) else sizes[-3:-1]
    return height or default, width or default


def _png(pixels: np.ndarray) -> bytes:
    """An image as a file's bytes, without loss; TensorFlow's decoders of JPEG take PNG as well."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
