"""What every data layout returns: a :class:`DataSet` of :class:`Sample`."""

import dataclasses
import logging
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from dgl.errors import UserError, first_few

SPLITS = ("train", "val", "test")
# Names that folders and lists of a split have, the usual one first.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}
# Splits that may stand for one, best first: ``val`` and ``test`` replace each other.
SPLIT_CANDIDATES = {"train": ("train",), "val": ("val", "test"), "test": ("test", "val")}
# Far above any classification data set; keeps a stray number from sizing a classifier.
MAX_CLASSES = 1000000

Box = Tuple[float, float, float, float]

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image of a data set."""

    # The image's path below the folder of images, with its extension and forward slashes; the same for
    # two samples only where a list repeats an image. An image that is there once for each of its
    # classes has `#` and the class's index after its path.
    id: str
    path: str  # absolute; loaders do not open the image, which may be missing
    class_index: int  # counted from 0
    # `(x0, y0, x1, y1)` floats in pixels of the original image, x to the right and y down, `x1 >= x0`
    # and `y1 >= y0`; empty where the data set has none.
    boxes: Tuple[Box, ...] = ()
    mask_paths: Tuple[str, ...] = ()  # absolute; the object is the union of these masks
    ignore_path: Optional[str] = None  # absolute; a mask of pixels that do not count
    # `(width, height)` in pixels as the data set declares it, or `None`; the image may disagree.
    size: Optional[Tuple[int, int]] = None


@dataclasses.dataclass(frozen=True)
class DataSet:
    """One split of one data set."""

    name: str  # for titles and file names
    format: str  # the layout it was read from, see `dgl.data.layouts`
    split: str  # the split asked for: "train", "val" or "test"
    samples: List[Sample]  # in the order of the data set's own list
    class_names: Optional[Tuple[str, ...]]  # by class index, `None` where the data set names none
    classes: int  # their number; every `class_index` is below it
    skipped: Tuple[str, ...] = ()  # why lines and annotations were left out, see `BadLines`

    def __len__(self) -> int:
        return len(self.samples)

    def class_name(self, class_index: int) -> str:
        """The name of a class, or its number as text where it has none."""
        if self.class_names is not None and 0 <= class_index < len(self.class_names):
            return self.class_names[class_index]
        return str(class_index)


def samples_of_objects(
    images: Iterable[
        Tuple[str, str, Sequence[Tuple[int, Optional[Box]]], Optional[Tuple[int, int]]]
    ],
    where: str,
    with_boxes: bool,
) -> List[Sample]:
    """Samples of images whose objects are of any number of classes: one for each class present.

    Localization asks where the objects of one given class are, so an image is asked once for each of
    its classes, and the boxes of that class are the true ones. In training, the image comes with each
    of its labels in turn, which is softmax with equal targets (Mahajan et al., ECCV 2018). Images
    without objects are left out with a logged warning.

    Args:
        images: of each its path below the folder of images, its absolute path, its objects as pairs of
            a class index and a box ``(x0, y0, x1, y1)``, ``None`` where that is not known, and its size
            as in :class:`Sample`.
        where: the list or folder that they are from, for messages.
        with_boxes: whether the samples have their boxes.

    Raises:
        UserError: no image has an object.
    """
    samples, empty = [], []
    for identity, path, objects, size in images:
        boxes: Dict[int, List[Box]] = {}
        for class_index, box in objects:
            boxes.setdefault(class_index, []).extend([box] if with_boxes and box else [])
        for class_index in sorted(boxes):
            own = f"{identity}#{class_index}" if len(boxes) > 1 else identity
            samples.append(Sample(own, path, class_index, tuple(boxes[class_index]), size=size))
        if not boxes:
            empty.append(identity)
    if not samples:
        raise UserError(
            f"{where}: none of {len(empty)} images has an object; expected boxes of at least one"
        )
    if empty:
        _logger.warning(
            f"{where}: {len(empty)} images have no object and are left out: {first_few(empty)}"
        )
    return samples
