"""The registry of data layouts, and the one call that reads any of them.

To add a format, write a module with a ``detect`` and a ``load`` function and register a
:class:`Layout` here.
"""

import functools
import os
from typing import Callable, NamedTuple, Optional

from tqdm import tqdm

from dgl.data import cub, image_folder, label_list
from dgl.data.sample import DataSet, check_split, quote
from dgl.errors import UserError


class Layout(NamedTuple):
    """One way to lay out a data set.

    Attributes:
        name: str, as ``load_data(layout=...)`` takes it.
        expected: str, the files and folders that make it up, for messages.
        detect: callable ``(data_dir, dataname) -> bool``; reads no more than a few names and lines.
        load: callable ``(data_dir, split, dataname, classes) -> DataSet``.
    """

    name: str
    expected: str
    detect: Callable[[str, Optional[str]], bool]
    load: Callable[[str, str, Optional[str], Optional[int]], DataSet]


_LAYOUTS = {}


def register(layout):
    """Add a :class:`Layout`; detection tries them in the order of their registration.

    Raises:
        ValueError: the name is taken.
    """
    if layout.name in _LAYOUTS:
        raise ValueError("layout {!r} is registered already".format(layout.name))
    _LAYOUTS[layout.name] = layout


def layout_names():
    """The registered names, in the order of detection."""
    return list(_LAYOUTS)


def detect_layout(data_dir, dataname=None):
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
        "{}: no data set recognised; looked for {}".format(
            data_dir,
            "; ".join("{} ({})".format(item.expected, item.name) for item in _LAYOUTS.values()),
        )
    )


def load_data(data_dir, split, dataname=None, layout=None, classes=None):
    """Read one split of a data set in any registered layout.

    Pictures are not opened: :func:`check_files` tells whether they are all there.

    Args:
        data_dir: str, the data folder.
        split: str, ``"train"``, ``"val"`` or ``"test"``.
        dataname: str, the folder below ``DATA/labels`` (the only one by default); for layouts
            without lists, a name for the data set.
        layout: str, one of :func:`layout_names`, or ``None`` to recognise it. ``"cub"`` reads CUB
            as published where there is no such list.
        classes: int, an explicit number of classes, or ``None`` to take it from the data.

    Returns:
        :class:`~dgl.data.sample.DataSet`.

    Raises:
        UserError: nothing is recognised, or a file is not as expected.
    """
    check_split(split)
    _check_folder(data_dir)
    if layout is None:
        layout = detect_layout(data_dir, dataname)
    if layout not in _LAYOUTS:
        raise UserError(
            "unknown layout {}; expected one of {}".format(quote(layout), layout_names())
        )
    return _LAYOUTS[layout].load(data_dir, split, dataname, classes)


def check_files(dataset):
    """Check that every picture of a data set is there.

    Args:
        dataset: :class:`~dgl.data.sample.DataSet`.

    Raises:
        UserError: pictures are missing; the message has their number and the first five.
    """
    missing = [
        sample.path
        for sample in tqdm(
            dataset.samples, desc="looking for pictures", unit=" files", leave=False, delay=1
        )
        if not os.path.isfile(sample.path)
    ]
    if missing:
        raise UserError(
            "{} {}: {} of {} pictures are missing: {}{}".format(
                dataset.name,
                dataset.split,
                len(missing),
                len(dataset),
                ", ".join(missing[:5]),
                ", ..." if len(missing) > 5 else "",
            )
        )


def _check_folder(data_dir):
    if not os.path.exists(data_dir):
        raise UserError("{}: no such folder; expected a data set".format(data_dir))
    if not os.path.isdir(data_dir):
        raise UserError("{}: not a folder; expected a data set's folder".format(data_dir))
    try:
        is_empty = not os.listdir(data_dir)
    except OSError as error:
        raise UserError("{}: cannot be listed: {}".format(data_dir, error.strerror)) from error
    if is_empty:
        raise UserError("{}: the folder is empty; expected a data set".format(data_dir))


def _detect_list(data_dir, dataname, image_root):
    return label_list.guess_image_root(data_dir, dataname) == image_root


def _load_cub_list(data_dir, split, dataname, classes):
    names = label_list.list_names(data_dir)
    has_list = dataname in names if dataname is not None else bool(names)
    if not has_list and cub.detect_cub(data_dir):
        return cub.load_cub(data_dir, split, dataname, classes)
    return label_list.load_label_list(data_dir, split, dataname, classes, image_root="cub")


register(
    Layout(
        "imagenet",
        label_list.EXPECTED["imagenet"],
        functools.partial(_detect_list, image_root="imagenet"),
        functools.partial(label_list.load_label_list, image_root="imagenet"),
    )
)
register(
    Layout(
        "cub",
        label_list.EXPECTED["cub"],
        functools.partial(_detect_list, image_root="cub"),
        _load_cub_list,
    )
)
register(Layout("cub200", cub.EXPECTED, cub.detect_cub, cub.load_cub))
register(
    Layout(
        "folder",
        image_folder.EXPECTED,
        image_folder.detect_image_folder,
        image_folder.load_image_folder,
    )
)
