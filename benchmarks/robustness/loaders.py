"""The readers that each kind of input goes through."""

import os

import numpy as np

from dgl.data.annotations import read_mask
from dgl.data.image_files import list_images
from dgl.data.image_io import read_image
from dgl.data.layouts import check_files, detect_layout, load_data
from dgl.data.views import GEOMETRIES, demo_input, random_training_view, validation_view
from dgl.datasets.photos5 import write_data_set
from dgl.errors import UserError
from dgl.evaluation.plan import images_fingerprint
from dgl.evaluation.results import Store, merge_records
from dgl.evaluation.saved_maps import read_map, read_records, score
from dgl.evaluation.summary import compute_metrics
from dgl.metrics.box_hits import box_hits
from dgl.utils.files import weights_fingerprint
from dgl.weights import open_checkpoint, read_card
from dgl.weights.checkpoint import is_checkpoint
from dgl.weights.identify import recognize

_READ = 64 << 20  # bytes of an array that are read: networks compare the shape first
_SIDE = 64

# Compile what scores maps now, for a reader that is watched must not write what Numba keeps.
for _kind in (np.float32, np.float64):
    box_hits(np.linspace(0, 1, 64, dtype=_kind).reshape(8, 8), np.linspace(0, 1, 20), [0, 0, 7, 7])


def _images(folder):
    for path in list_images(folder):
        image = read_image(path)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def _views(folder):
    for path in list_images(folder):
        image = read_image(path)
        for geometry in GEOMETRIES.values():
            view = geometry.view(image, [(0, 0, 5, 5), (-1e9, -1e9, 1e9, 1e9)], _SIDE)
            assert view.image.shape == (_SIDE, _SIDE, 3)
        assert np.isfinite(demo_input(image, _SIDE)).all()
        assert random_training_view(image, _SIDE, np.random.RandomState(0)).shape == (
            _SIDE,
            _SIDE,
            3,
        )
        assert validation_view(image, _SIDE).shape == (_SIDE, _SIDE, 3)


def _masks(folder):
    for path in list_images(folder):
        assert set(np.unique(read_mask([path], path, _SIDE))) <= {0, 1, 255}


def _split(split, with_boxes=True):
    def load(folder):
        dataset = load_data(folder, split, with_boxes=with_boxes)
        for sample in dataset.samples:
            assert 0 <= sample.class_index < dataset.classes
            # What leads out of the data folder is refused before anything is looked for there.
            assert sample.path.startswith(os.path.abspath(folder) + os.sep)
        assert len(images_fingerprint(dataset.samples)) == 64
        check_files(dataset)
        for sample in dataset.samples:
            read_image(sample.path)

    return load


def _every_layout(folder):
    from dgl.data.layouts import layout_names

    refusals = []
    for name in layout_names():
        try:
            load_data(folder, "val", layout=name)
        except UserError as error:
            refusals.append(error)
    if len(refusals) == len(layout_names()):
        raise refusals[-1]


def _photos5(folder):
    clones = [os.path.join(folder, name) for name in ("raccoon", "kangaroo", "fruit")]
    write_data_set(*clones, out=os.path.join(folder, "out"), progress=False)


def _map(folder):
    read_map(os.path.join(folder, "maps", "a", "1.jpg.npy"))


def _scores(folder):
    records = read_records(os.path.join(folder, "metadata"))
    score(os.path.join(folder, "maps"), records, 0.05, progress=False, strict=True)


def _load_of(folder):
    path = os.path.join(folder, "LOAD")
    if not os.path.isfile(path):
        return os.path.join(folder, "tiny.npz")
    with open(path) as stream:
        return os.path.join(folder, stream.read())


def _checkpoint(folder):
    load = _load_of(folder)
    is_checkpoint(load)
    checkpoint = open_checkpoint(load)
    recognize(checkpoint.shapes)
    for name, shape in checkpoint.shapes.items():
        if np.prod(shape, dtype=np.float64) * 8 <= _READ:
            assert checkpoint.read(name).shape == shape
    weights_fingerprint(checkpoint.path)


def _card(folder):
    card = read_card(_load_of(folder))
    assert card is None or (32 <= card.image_size <= 4096 and 1 <= card.last_stride <= 2)


def _results(folder):
    found = merge_records([folder])
    compute_metrics(found, 0, 0, None)


def _unfinished(folder):
    from made_results import PLAIN

    store = Store(folder, PLAIN)
    for chunk in store.done():
        assert store.read(chunk).positions


_DATA = [
    ("detect_layout", detect_layout),
    ("load_data of val", _split("val")),
    ("load_data of test", _split("test")),
    ("load_data of train", _split("train")),
    ("load_data without boxes", _split("val", False)),
    ("load_data of every layout", _every_layout),
]
LOADERS = {
    "images": [("read_image", _images), ("views", _views), ("read_mask", _masks)],
    "label lists": _DATA,
    "CUB": _DATA,
    "ILSVRC": _DATA,
    "wsolevaluation": _DATA,
    "class folders": _DATA,
    "photos5": [("write_data_set", _photos5)],
    "maps": [("read_map", _map), ("score", _scores)],
    "checkpoints": [("open_checkpoint", _checkpoint), ("read_card", _card)],
    "model cards": [("read_card", _card), ("open_checkpoint", _checkpoint)],
    "results": [("merge_records", _results), ("Store", _unfinished)],
}
