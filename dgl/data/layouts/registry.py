"""The registry of data layouts, and the calls that recognize and read any of them."""

import dataclasses
import os
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from dgl.data.image_files import scan_folder
from dgl.data.sample import MAX_CLASSES, SPLITS, DataSet, Sample
from dgl.data.text_files import BadLines, progress
from dgl.errors import UserError, first_few, quote


@dataclasses.dataclass(frozen=True)
class Request:
    """One split of a data set that is asked for, and the wrong lines found while it is read."""

    layout: str  # the name of its layout
    data_dir: str  # an absolute path
    split: str  # one of `SPLITS`
    dataname: Optional[str]  # the list to read where there are several, or a name
    classes: Optional[int]  # a number of classes to check the labels against
    with_boxes: bool
    bad: BadLines = dataclasses.field(default_factory=BadLines)

    def path(self, *parts: str) -> str:
        """The path of a file or a folder in the data folder."""
        return os.path.join(self.data_dir, *parts)

    def data_set(
        self,
        samples: List[Sample],
        class_names: Optional[Tuple[str, ...]],
        classes: Optional[int] = None,
        name: Optional[str] = None,
    ) -> DataSet:
        """The answer; by default of as many ``classes`` as have names, with the folder's ``name``."""
        name = name or self.dataname or os.path.basename(self.data_dir)
        classes = self.classes or classes or len(class_names or ())
        reasons = tuple(self.bad.reasons)
        return DataSet(name, self.layout, self.split, samples, class_names, classes, reasons)


_Loader = Callable[[Request], DataSet]


class Layout(NamedTuple):
    """One way to lay out a data set."""

    name: str  # as `--data-format` and `load_data(layout=...)` take it
    expected: str  # the files and folders that make it up, for messages
    # `(data_dir, dataname) -> bool`; reads no more than a few names and lines.
    detect: Callable[[str, Optional[str]], bool]
    load: _Loader
    rank: int  # place in the order of detection; equal ranks follow the names of their files


_LAYOUTS: Dict[str, Layout] = {}
# In pixels: of images below it, boxes may be smaller than a pixel.
_LEAST_SIDE = 32


def register_layout(
    name: str, expected: str, detect: Callable[[str, Optional[str]], bool], rank: int = 1
) -> Callable[[_Loader], _Loader]:
    """Decorator for the loader of a layout, ``Request -> DataSet``; else as in :class:`Layout`."""

    def register(load: _Loader) -> _Loader:
        if name in _LAYOUTS:
            raise ValueError(f"layout {name!r} is registered already")
        _LAYOUTS[name] = Layout(name, expected, detect, load, rank)
        return load

    return register


def get_layout(name: str) -> Layout:
    """The layout of that name, or :class:`UserError` where there is none."""
    if name not in _LAYOUTS:
        raise UserError(f"unknown layout {quote(name)}; expected one of {layout_names()}")
    return _LAYOUTS[name]


def _ordered() -> List[Layout]:
    return sorted(_LAYOUTS.values(), key=lambda layout: layout.rank)


def layout_names() -> List[str]:
    """The registered names, in the order of detection."""
    return [layout.name for layout in _ordered()]


def detect_layout(data_dir: str, dataname: Optional[str] = None) -> str:
    """Recognize the layout of a data folder from its content; the name that :func:`load_data` takes.

    Args:
        data_dir: the data folder.
        dataname: the list to look into where there are several.

    Raises:
        UserError: the folder is missing or empty, or no layout fits.
    """
    check_data_folder(data_dir)
    for layout in _ordered():
        if layout.detect(data_dir, dataname):
            return layout.name
    expected = "; ".join(f"{layout.expected} ({layout.name})" for layout in _ordered())
    raise UserError(f"{data_dir}: no data set recognized; looked for {expected}")


def load_data(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    layout: Optional[str] = None,
    classes: Optional[int] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of a data set in any registered layout.

    Images are not opened; :func:`check_files` checks that they are all there.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``.
        dataname: the folder below ``DATA/labels`` or ``DATA/metadata`` (the only one by default);
            for layouts without lists, a name for the data set.
        layout: one of :func:`layout_names`, or ``None`` to recognize it.
        classes: an explicit number of classes to check the labels against, or ``None`` to take it
            from the data.
        with_boxes: ``False`` where boxes and masks are not needed, as in training: they are left
            out, and files that hold nothing else are not read.

    Raises:
        UserError: nothing is recognized; a file is missing, or its classes are not as expected; more than
            one in a hundred of its lines or images is not as expected (fewer are left out, see
            :attr:`DataSet.skipped`) or leads out of ``data_dir``; or a full published set lacks images.
    """
    if split not in SPLITS:
        raise UserError(f"--split {quote(split)}: unknown; expected {', '.join(SPLITS)}")
    if classes is not None and not 1 <= classes <= MAX_CLASSES:
        raise UserError(f"{classes} classes; expected 1 to {MAX_CLASSES}")
    check_data_folder(data_dir)
    layout = get_layout(layout or detect_layout(data_dir, dataname)).name
    root = os.path.abspath(data_dir)
    request = Request(layout, root, split, dataname, classes, with_boxes)
    dataset = _LAYOUTS[layout].load(request)
    _check_unit(dataset)
    return dataset


def _check_unit(dataset: DataSet) -> None:
    """Refuse boxes that are fractions of the image; one that reaches farther than a pixel is none.

    In images of a few pixels, boxes may be that small.
    """
    has_fraction = False
    for sample in dataset.samples:
        is_tiny = sample.size is not None and min(sample.size) < _LEAST_SIDE
        for box in sample.boxes:
            if is_tiny or max(box) > 1:
                return
            has_fraction = has_fraction or any(side != int(side) for side in box)
    if has_fraction:
        raise UserError(
            f"{dataset.name} {dataset.split}: all boxes lie between 0 and 1, as fractions of the image do; "
            "expected pixels"
        )


def check_files(*datasets: DataSet) -> None:
    """Check that every image and every mask of some data sets, such as the splits of a training, is there.

    Raises:
        UserError: some are missing; the one message has their numbers and the first five of each.
    """
    parts = [part for dataset in datasets for part in _missing(dataset)]
    if parts:
        raise UserError("; ".join(parts))


def _missing(dataset: DataSet) -> Iterator[str]:
    images: List[str] = []
    masks: List[str] = []
    listed_masks = 0
    for sample in progress(dataset.samples, "looking for images", " files"):
        if not os.path.isfile(sample.path):
            images.append(sample.path)
        paths = sample.mask_paths + ((sample.ignore_path,) if sample.ignore_path else ())
        listed_masks += len(paths)
        masks.extend(path for path in paths if not os.path.isfile(path))
    for kind, missing, total in (("images", images, len(dataset)), ("masks", masks, listed_masks)):
        if missing:
            found = f"{len(missing)} of {total} {kind} are missing"
            yield f"{dataset.name} {dataset.split}: {found}: {first_few(missing)}"


def check_data_folder(data_dir: str) -> None:
    """Raise :class:`UserError` unless a data folder is there and holds something."""
    if not os.path.exists(data_dir):
        raise UserError(f"{data_dir}: no such folder; expected a data set")
    if not os.path.isdir(data_dir):
        raise UserError(f"{data_dir}: not a folder; expected a data set's folder")
    if not scan_folder(data_dir):
        raise UserError(f"{data_dir}: the folder is empty; expected a data set")
