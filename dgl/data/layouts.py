"""The registry of data layouts, and the one call that reads any of them.

To add a format, write a module with a ``detect`` and a ``load`` function and register a
:class:`Layout` here.
"""

import functools
import os
from typing import Callable, Dict, List, NamedTuple, Optional

from tqdm import tqdm

from dgl.data import cub, ilsvrc, image_folder, label_list, wsol_layout
from dgl.data.sample import DataSet, check_split
from dgl.errors import UserError, first_few, quote


class Layout(NamedTuple):
    """One way to lay out a data set.

    Attributes:
        name: str, as ``load_data(layout=...)`` takes it.
        expected: str, the files and folders that make it up, for messages.
        detect: callable ``(data_dir, dataname) -> bool``; reads no more than a few names and lines.
        load: callable ``(data_dir, split, dataname, classes, with_boxes=...) -> DataSet``.
    """

    name: str
    expected: str
    detect: Callable[[str, Optional[str]], bool]
    load: Callable[..., DataSet]


_LAYOUTS: Dict[str, Layout] = {}


def register(layout: Layout) -> None:
    """Add a :class:`Layout`; detection tries them in the order of their registration.

    Raises:
        ValueError: the name is taken.
    """
    if layout.name in _LAYOUTS:
        raise ValueError(f"layout {layout.name!r} is registered already")
    _LAYOUTS[layout.name] = layout


def layout_names() -> List[str]:
    """The registered names, in the order of detection."""
    return list(_LAYOUTS)


def detect_layout(data_dir: str, dataname: Optional[str] = None) -> str:
    """Tell the layout of a data folder from what is in it.

    Args:
        data_dir: str, the data folder.
        dataname: str or ``None``, the list to look into where several are there.

    Returns:
        str, a name that :func:`load_data` takes as ``layout``.

    Raises:
        UserError: the folder is missing or empty, or no layout fits.
    """
    _check_folder(data_dir)
    for layout in _LAYOUTS.values():
        if layout.detect(data_dir, dataname):
            return layout.name
    raise UserError(
        "{}: no data set recognized; looked for {}".format(
            data_dir,
            "; ".join(f"{item.expected} ({item.name})" for item in _LAYOUTS.values()),
        )
    )


def load_data(
    data_dir: str,
    split: str,
    dataname: Optional[str] = None,
    layout: Optional[str] = None,
    classes: Optional[int] = None,
    with_boxes: bool = True,
) -> DataSet:
    """Read one split of a data set in any registered layout.

    Images are not opened: :func:`check_files` tells whether they are all there.

    Args:
        data_dir: str, the data folder.
        split: str, ``"train"``, ``"val"`` or ``"test"``.
        dataname: str, the folder below ``DATA/labels`` or ``DATA/metadata`` (the only one by
            default); for layouts without lists, a name for the data set.
        layout: str, one of :func:`layout_names`, or ``None`` to recognize it.
        classes: int, an explicit number of classes, or ``None`` to take it from the data.
        with_boxes: bool, ``False`` where boxes and masks are not needed, as in training: they are
            left out, and files that hold nothing else are not read.

    Returns:
        :class:`~dgl.data.sample.DataSet`.

    Raises:
        UserError: nothing is recognized, or a file is not as expected.
    """
    check_split(split)
    _check_folder(data_dir)
    if layout is None:
        layout = detect_layout(data_dir, dataname)
    if layout not in _LAYOUTS:
        raise UserError(f"unknown layout {quote(layout)}; expected one of {layout_names()}")
    return _LAYOUTS[layout].load(data_dir, split, dataname, classes, with_boxes=with_boxes)


def check_files(*datasets: DataSet) -> None:
    """Check that every image and every mask of some data sets is there.

    Args:
        *datasets: :class:`~dgl.data.sample.DataSet`, such as the splits of a training.

    Raises:
        UserError: some are missing; the one message has their numbers and the first five of each.
    """
    parts = [part for dataset in datasets for part in _missing(dataset)]
    if parts:
        raise UserError("; ".join(parts))


def _missing(dataset):
    pictures, masks, listed = [], [], 0
    for sample in tqdm(
        dataset.samples, desc="looking for images", unit=" files", leave=False, delay=1
    ):
        if not os.path.isfile(sample.path):
            pictures.append(sample.path)
        paths = sample.mask_paths + ((sample.ignore_path,) if sample.ignore_path else ())
        listed += len(paths)
        masks.extend(path for path in paths if not os.path.isfile(path))
    for what, missing, total in (("pictures", pictures, len(dataset)), ("masks", masks, listed)):
        if missing:
            yield f"{dataset.name} {dataset.split}: {len(missing)} of {total} {what} are missing: {first_few(missing)}"


def named_layout(data_dir: str, name: str, dataname: Optional[str] = None) -> str:
    """The layout that ``--imagenet`` or ``--cub`` stands for in a data folder.

    Args:
        data_dir: str, the data folder.
        name: str, ``"imagenet"`` or ``"cub"``.
        dataname: str or ``None``, the list to read.

    Returns:
        str: ``name`` itself where there are label lists, else the set as published.

    Raises:
        UserError: there is neither.
    """
    _check_folder(data_dir)
    names = label_list.list_names(data_dir)
    if dataname in names if dataname is not None else names:
        return name
    published = _PUBLISHED[name]
    if published.detect(data_dir, dataname):
        return published.name
    if names:
        return name  # lists, but not the one asked for: its loader says which there are
    raise UserError(
        f"{data_dir}: no data for --{name}; expected {label_list.EXPECTED[name]}, or {published.expected}"
    )


def _check_folder(data_dir):
    if not os.path.exists(data_dir):
        raise UserError(f"{data_dir}: no such folder; expected a data set")
    if not os.path.isdir(data_dir):
        raise UserError(f"{data_dir}: not a folder; expected a data set's folder")
    try:
        is_empty = not os.listdir(data_dir)
    except OSError as error:
        raise UserError(f"{data_dir}: cannot be listed: {error.strerror}") from error
    if is_empty:
        raise UserError(f"{data_dir}: the folder is empty; expected a data set")


def _detect_list(data_dir, dataname, image_root):
    return label_list.guess_image_root(data_dir, dataname) == image_root


_PUBLISHED = {
    "imagenet": Layout("ilsvrc", ilsvrc.EXPECTED, ilsvrc.detect_ilsvrc, ilsvrc.load_ilsvrc),
    "cub": Layout("cub200", cub.EXPECTED, cub.detect_cub, cub.load_cub),
}

# Lists come first: whoever wrote one wants it read. Class folders come last: data sets of other
# layouts have such folders too.
for _root in _PUBLISHED:
    register(
        Layout(
            _root,
            label_list.EXPECTED[_root],
            functools.partial(_detect_list, image_root=_root),
            functools.partial(label_list.load_label_list, image_root=_root),
        )
    )
register(_PUBLISHED["cub"])
register(_PUBLISHED["imagenet"])
register(
    Layout(
        "wsolevaluation",
        wsol_layout.EXPECTED,
        wsol_layout.detect_wsol,
        wsol_layout.load_wsol,
    )
)
register(
    Layout(
        "folder",
        image_folder.EXPECTED,
        image_folder.detect_image_folder,
        image_folder.load_image_folder,
    )
)
