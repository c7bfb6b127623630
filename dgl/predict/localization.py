"""What was found in one image: class, map and box."""

import io
from typing import TYPE_CHECKING, NamedTuple, Optional, Tuple

import numpy as np

from dgl.data.image_io import Decoded
from dgl.predict.overlay import heat_with_region

if TYPE_CHECKING:
    import PIL.Image


class Localization(NamedTuple):
    """The class, map and box of one image. A notebook shows it as :meth:`overlay`.

    Attributes:
        class_index: int, the requested class, or the most probable one.
        probability: float, its softmax probability.
        map: (H, W) float32 in [0, 1], at the size of ``image``.
        box: (x0, y0, x1, y1), ints in pixels of the image as it was given, around the map's largest
            region above the threshold; ``None`` where there is none.
        class_name: the class's name, or its index as text where names are not known.
        image: (H, W, 3) uint8 RGB, upright; of a file above 25 megapixels at half its sides.
        threshold: float in [0, 1], fraction of the map's maximum that counts as object.
        size: (width, height) of the upright image as it was given; ``None`` stands for that of ``image``.
    """

    class_index: int
    probability: float
    map: np.ndarray
    box: Optional[Tuple[int, int, int, int]]
    class_name: str
    image: np.ndarray
    threshold: float
    size: Optional[Tuple[int, int]] = None

    def overlay(self) -> "PIL.Image.Image":
        """The image under the map, with outline and box: :func:`dgl.predict.overlay.heat_with_region`."""
        import PIL.Image

        box = self.box
        if box is not None and self.size is not None:
            box = tuple(np.rint(Decoded(self.image, self.size).to_image(box)).ravel().astype(int))
        return PIL.Image.fromarray(heat_with_region(self.image, self.map, self.threshold, box))

    def __repr__(self) -> str:
        return f"Localization({self.class_name!r}, {self.probability:.3f}, box {self.box})"

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        buffer = io.BytesIO()
        self.overlay().save(buffer, "PNG")
        return buffer.getvalue()
