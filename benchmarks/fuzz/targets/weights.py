"""Weight files of every format, and model cards."""

import io
import json
import os
import pickle
import shutil
import tempfile
import zipfile

import numpy as np

from benchmarks.fuzz import oracle
from benchmarks.fuzz.samples import foreign_files as files
from benchmarks.fuzz.samples import write_tensorflow
from benchmarks.fuzz.target import Target, place
from dgl.weights import ModelCard, open_checkpoint, read_card, read_weights

_VALUES = {
    "conv/W": np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3),
    "conv/b": np.array([1.0, -2.0], np.float16),
    "step": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float64),
}


class _Hostile:
    """A pickle of it runs the canary where it is loaded as a program."""

    def __reduce__(self):
        return oracle.canary, ("ran",)


def _read_all(path):
    checkpoint = open_checkpoint(path)
    refused = None
    for name, shape in checkpoint.shapes.items():
        try:
            value = read_weights(checkpoint, name)
        except oracle.UserError as error:
            refused = error
            continue
        assert value.dtype == np.float32 and value.shape == tuple(shape)
        assert np.isfinite(value).all()
    if refused is not None:
        raise refused


def _file(extension):
    def run(data, folder):
        path = os.path.join(folder, "w" + extension)
        if os.path.exists(path):
            os.remove(path)  # HDF5 would know the file again
        _read_all(place(folder, "w" + extension, data))

    return run


def _written(write, *args, **options):
    """The bytes of a file that a function of :mod:`foreign_files` writes."""
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, "x")
        write(path, *args, **options)
        with open(path, "rb") as stream:
            return stream.read()
    finally:
        shutil.rmtree(folder)


def _npz(**variables):
    stream = io.BytesIO()
    np.savez_compressed(stream, **variables)
    return stream.getvalue()


def _npz_seeds():
    plain = io.BytesIO()
    np.savez(plain, **_VALUES)
    objects = np.array([_Hostile()], dtype=object)
    return [plain.getvalue(), _npz(**{"a:0": np.ones((2, 3), ">f4"), "b": np.zeros(0)}),
            _npz(x=objects)]  # fmt: skip


def _npz_member(data, folder):
    """The input is one array; around it is a sound archive, whose checksum would refuse it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", data)
        archive.writestr("b.npy", data, zipfile.ZIP_DEFLATED)
    _read_all(place(folder, "w.npz", stream.getvalue()))


def _member_seeds():
    seeds = []
    for value in list(_VALUES.values()) + [np.array([True]), np.array(["x"]), np.array([1j])]:
        stream = io.BytesIO()
        np.save(stream, value)
        seeds.append(stream.getvalue())
    hostile = io.BytesIO()
    np.save(hostile, np.array([_Hostile()], dtype=object))
    return seeds + [hostile.getvalue()]


def _safetensors_seeds():
    half = {"x": np.array([1, 2], np.int16)}
    return [_written(files.write_safetensors, _VALUES),
            _written(files.write_safetensors, half, dtypes={"x": "BF16"}),
            _written(files.write_safetensors, {})]  # fmt: skip


def _keras_seeds():
    layers = [("conv", [("kernel", _VALUES["conv/W"]), ("bias", _VALUES["conv/b"])]), ("flat", [])]
    return [_written(files.write_keras, layers),
            _written(files.write_keras, layers, model=True, old_names=True),
            _written(files.write_keras, layers[:1], compression="gzip", chunks=True)]  # fmt: skip


def _torch_zip_seeds():
    return [_written(files.write_pth, _VALUES),
            _written(files.write_pth, _VALUES, wrap="state_dict", metadata=False),
            _written(files.write_zip_pickle, pickle.dumps({"a": _Hostile()}, 2))]  # fmt: skip


def _torch_legacy_seeds():
    return [_written(files.write_pth, _VALUES, legacy=True),
            _written(files.write_pth, _VALUES, legacy=True, wrap="model"),
            _written(files.write_legacy_pickle, pickle.dumps({"a": _Hostile()}, 2)),
            pickle.dumps(_Hostile())]  # fmt: skip


def _torch_pickle(data, folder):
    """The input is the pickle alone, with sound storages around it."""
    path = os.path.join(folder, "w.pth")
    files.write_zip_pickle(path, data, {str(n): np.arange(12, dtype=np.float32) for n in range(4)})
    _read_all(path)


def _pickle_seeds():
    seeds = [pickle.dumps({"a": _Hostile(), "b": 1}, protocol) for protocol in (0, 2, 4)]
    for options in ({}, {"wrap": "model"}, {"metadata": False}):
        with zipfile.ZipFile(io.BytesIO(_written(files.write_pth, _VALUES, **options))) as archive:
            seeds.append(archive.read("archive/data.pkl"))
    tensor = files.dump_global("torch", "FloatTensor") + b")\x81"
    return seeds + [files.program(b"}", files.dump_plain("x"), tensor, b"s")]


def _tensorflow(data, folder):
    """The input is the index; the data file beside it is sound."""
    if not os.path.exists(os.path.join(folder, "m.data-00000-of-00001")):
        place(folder, "m.data-00000-of-00001", _checkpoint()[1])
    place(folder, "m.index", data)
    _read_all(os.path.join(folder, "m"))


def _checkpoint():
    """The two files of a TensorFlow checkpoint."""
    folder = tempfile.mkdtemp()
    try:
        prefix = os.path.join(folder, "m")
        write_tensorflow(prefix, _VALUES)
        parts = []
        for suffix in (".index", ".data-00000-of-00001"):
            with open(prefix + suffix, "rb") as stream:
                parts.append(stream.read())
        return parts
    finally:
        shutil.rmtree(folder)


def _model_card(data, folder):
    place(folder, "m.json", data)
    card = read_card(os.path.join(folder, "m.npz"))
    assert isinstance(card, ModelCard) and card.image_size >= 1 and card.last_stride >= 1
    assert card.class_names is None or all(isinstance(name, str) for name in card.class_names)


def _card_seeds():
    whole = {"mode": "vgg", "image_size": 224, "class_names": ["a", "b"], "data_set": "x"}
    cards = [whole, dict(whole, class_names=None, last_stride=2), {"mode": "m", "image_size": "8"}]
    return [json.dumps(card).encode("utf-8") for card in cards]


_ZIP = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b".npy")
_HEADER = (b"'descr': '<f4'", b"'fortran_order': True", b"'shape': (2, 3)", b"'|O'", b"'<U9'",
           b"\x93NUMPY\x01\0", b"\x93NUMPY\x02\0", b"\x93NUMPY\x03\0", b"-1", b"[('a', '<f4')]",
           b"999999999999")  # fmt: skip
_PICKLE = (b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
           b"ctorch._utils\n_rebuild_parameter\n", b"ctorch\nFloatStorage\n", b"ctorch\nSize\n",
           b"cposix\nsystem\n", b"(", b"t", b"R", b"}", b"]", b")", b"u", b"s", b"a", b"e", b"Q", b"b",
           b"q\0", b"h\0", b"\x81", b"\x93", b"\x94", b"\x85", b"\x86", b"\x87", b"N", b"K\x01",
           b"\x8a\x01\xff", b"X\x01\0\0\0a", b"\x80\x02", b".")  # fmt: skip

TARGETS = (
    Target("npz", _file(".npz"), _npz_seeds, _ZIP),
    Target("npz_member", _npz_member, _member_seeds, _HEADER, 1024),
    Target("safetensors", _file(".safetensors"), _safetensors_seeds,
           (b'"dtype"', b'"shape"', b'"data_offsets"', b'"BF16"', b'"F8_E4M3"', b'"F32"', b'"BOOL"',
            b'"__metadata__"', b"-1", b"[0,0]"), needs=("safetensors",)),
    Target("keras", _file(".h5"), _keras_seeds,
           (b"layer_names", b"weight_names", b"model_weights", b"GCOL", b"HEAP", b"SNOD", b"TREE",
            b"OHDR"), 16384, ("h5py",)),
    Target("torch_zip", _file(".pth"), _torch_zip_seeds, _ZIP + (b"data.pkl", b"byteorder", b"big")),
    Target("torch_legacy", _file(".pth"), _torch_legacy_seeds, _PICKLE),
    Target("torch_pickle", _torch_pickle, _pickle_seeds, _PICKLE, 2048),
    Target("tensorflow_index", _tensorflow, lambda: _checkpoint()[:1]),
    Target("tensorflow_1", _file(".ckpt"),
           lambda: [_written(write_tensorflow, {"a/W": _VALUES["conv/W"], "b": _VALUES["step"]},
                             version=1)]),
    Target("model_card", _model_card, _card_seeds,
           (b'"class_names"', b'"image_size"', b'"last_stride"', b"null", b"NaN", b"1e400", b"[[[[",
            b'"\\n"', b'"\\ud800"', b"true")),
)  # fmt: skip
