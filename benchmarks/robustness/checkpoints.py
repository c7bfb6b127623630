"""Valid and damaged checkpoints of every format, and their model cards."""

import io
import json
import os
import pickle
import struct
import tempfile
import zipfile

import h5py
import numpy as np
from foreign_files import (
    write_keras,
    write_legacy_pickle,
    write_pth,
    write_safetensors,
    write_zip_pickle,
)
from networks import vgg_variables, write_tensorflow

from .case import ANY, GOOD, Case, read_tree
from .data_sets import ESCAPE
from .maps import Runs, bad_maps, described, npy, npy_header
from .mutate import around, refused

KIND, CARDS = "checkpoints", "model cards"
VALUES = {
    "conv1/W": np.arange(108, dtype="f4").reshape(3, 3, 3, 4),
    "conv1/b": np.arange(4, dtype="f4"),
    "global_step": np.int64(7),
}


def _made(write):
    """The files that ``write(folder)`` makes."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        return read_tree(folder)


def _npz(folder, name="model.npz", save=np.savez_compressed, values=None):
    save(os.path.join(folder, name), **(VALUES if values is None else values))


def _v2(folder):
    write_tensorflow(os.path.join(folder, "model-7"), VALUES)


def _v1(folder):
    write_tensorflow(os.path.join(folder, "slim.ckpt"), VALUES, version=1)


def _keras(folder, **options):
    layers = [("conv1", [("kernel", VALUES["conv1/W"]), ("bias", VALUES["conv1/b"])])]
    write_keras(os.path.join(folder, "model.h5"), layers, **options)


def sound():
    """(name, files, what is given as --load, the files to damage) of every format."""
    arrays = {name: np.asarray(array) for name, array in VALUES.items()}
    tensorflow = _made(_v2)
    v1 = {name: data for name, data in _made(_v1).items() if name.startswith("slim")}
    yield "npz", _made(_npz), "model.npz", ["model.npz"]
    stored = _made(lambda folder: _npz(folder, save=np.savez))
    yield "plain npz", stored, "model.npz", ["model.npz"]
    index, state = "model-7.index", "checkpoint"
    data = next(name for name in tensorflow if ".data-" in name)
    yield "TensorFlow", tensorflow, "model-7", [index, data]
    yield "TensorFlow's folder", tensorflow, "", [state]
    yield "slim", v1, sorted(name for name in v1 if not name.endswith(".meta"))[0], [
        sorted(name for name in v1 if not name.endswith(".meta"))[0]]  # fmt: skip
    yield "h5", _made(_keras), "model.h5", ["model.h5"]
    packed = _made(lambda folder: _keras(folder, compression="gzip"))
    yield "packed h5", packed, "model.h5", ["model.h5"]
    for name, legacy in (("pth", False), ("old pth", True)):

        def torch(folder, legacy=legacy):
            write_pth(os.path.join(folder, "model.pth"), arrays, legacy=legacy)

        yield name, _made(torch), "model.pth", ["model.pth"]
    path = "model.safetensors"
    tensors = _made(lambda folder: write_safetensors(os.path.join(folder, path), arrays))
    yield "safetensors", tensors, path, [path]


def _zip(members, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def _bad_npz():
    for name, data in bad_maps().items():
        if not callable(data) and len(data) < 1 << 20:
            yield name, _zip([("conv1/W.npy", data)])
    yield "names that lead out", _zip([("../../x.npy", npy(VALUES["conv1/b"])), ("/etc/x", b"")])
    yield "a name of two lines", _zip([("a\nb.npy", npy(VALUES["conv1/b"]))])
    yield "a name of control characters", _zip([(ESCAPE + ".npy", npy(VALUES["conv1/b"]))])
    yield "no members", _zip([])
    yield "20,000 members", _zip([(f"{i}.npy", b"") for i in range(20000)])
    head = npy_header(described("(134217728,)"))
    yield "512 MB of zeros", lambda: _zip([("conv1/W.npy", head + b"\0" * (512 << 20))])


def _bad_torch(folder):
    program = pickle.dumps(Runs(), 2)
    path = os.path.join(folder, "{}.pth").format
    write_zip_pickle(path("zip that runs a program"), program)
    write_legacy_pickle(path("older file that runs a program"), program)
    with open(path("pickle that runs a program"), "wb") as stream:
        stream.write(program)
    with open(path("newer pickle that runs a program"), "wb") as stream:
        stream.write(pickle.dumps({"state_dict": Runs()}, 4))
    # Each opcode pair doubles what the list holds.
    doubling = b"\x80\x02]q\x00" + b"(h\x00h\x00lq\x00" * 200 + b"."
    write_zip_pickle(path("pickle that doubles"), doubling)
    write_zip_pickle(path("pickle of a long number"), b"\x80\x02I" + b"9" * 2000000 + b"\n.")
    write_zip_pickle(path("pickle of depth"), b"\x80\x02" + b"(" * 1000000 + b".")
    write_zip_pickle(path("pickle of nothing"), b"")


def _bad_safetensors():
    for name, length in (("2**60", 2**60), ("2**63", 2**63), ("100 MB", 100 << 20)):
        yield "header of " + name, struct.pack("<Q", length) + b"{" + b" " * 64
    for name, text in {
        "a deep header": '{"a":' * 20000,
        "data beyond": '{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}',
        "a huge shape": '{"a": {"dtype": "F32", "shape": [1152921504606846976, 16],'
        ' "data_offsets": [0, 0]}}',
        "a name of two lines": '{"a\\nb": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}',
        "a negative offset": '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
    }.items():
        yield name, struct.pack("<Q", len(text)) + text.encode("utf-8")


def _bad_h5(folder):
    def file(name):
        return h5py.File(os.path.join(folder, name + ".h5"), "w")

    def layer(stream):
        stream.attrs["layer_names"] = [b"a"]
        group = stream.create_group("a")
        group.attrs["weight_names"] = [b"w"]
        return group

    with file("external link") as stream:
        layer(stream)["w"] = h5py.ExternalLink("/etc/passwd", "/x")
    with file("soft link to itself") as stream:
        layer(stream)["w"] = h5py.SoftLink("/a/w")
    with file("storage outside") as stream:
        layer(stream).create_dataset("w", (100,), "u1", external=[("/etc/passwd", 0, 100)])
    with file("2**60 numbers") as stream:
        layer(stream).create_dataset("w", (2**60,), "f4", chunks=(1024,))
    with file("2**30 numbers packed") as stream:
        layer(stream).create_dataset("w", (2**30,), "f4", chunks=(2**20,), compression="gzip")
    with file("names that lead out") as stream:
        layer(stream).attrs["weight_names"] = [b"../../b"]
    with file("names of two lines") as stream:
        stream.attrs["layer_names"] = [b"a\nb"]
    with file("objects") as stream:
        layer(stream).create_dataset("w", (2,), h5py.special_dtype(vlen=str))
    with file("group instead of weights") as stream:
        layer(stream).create_group("w")


_STATES = {
    "an absolute path": 'model_checkpoint_path: "/etc/hostname"\n',
    "a path that leads out": 'model_checkpoint_path: "../../../etc/hostname"\n',
    "a device": 'model_checkpoint_path: "/dev/zero"\n',
    "a name of two lines": 'model_checkpoint_path: "a\\nb"\n',
    "a NUL": 'model_checkpoint_path: "a\\000b"\n',
    "control characters": 'model_checkpoint_path: "\\033]0;OWNED\\007"\n',
    "no text": b"\xff\xfe\x00",
    "50 MB": lambda: b"a" * (50 << 20),
    "many fields": 'all_model_checkpoint_paths: "a"\n' * 20000,
}

_CARDS = {
    "huge size": {"mode": "vgg", "image_size": 10**9},
    "size beyond numbers": {"mode": "vgg", "image_size": 10**400},
    "negative size": {"mode": "vgg", "image_size": -1},
    "size in words": {"mode": "vgg", "image_size": "big"},
    "infinite size": {"mode": "vgg", "image_size": float("inf")},
    "size that is not a number": {"mode": "vgg", "image_size": float("nan")},
    "huge stride": {"mode": "vgg", "image_size": 64, "last_stride": 10**9},
    "other names": {"mode": "vgg", "image_size": 64, "class_names": {"a": 1}},
    "names of control characters": {"mode": "vgg", "image_size": 64, "class_names": [ESCAPE] * 5},
    "names of two lines": {"mode": "vgg", "image_size": 64, "class_names": ["a\nb"] * 5},
    "half characters": {"mode": "vgg", "image_size": 64, "class_names": ["\ud800"] * 5},
    "one name": {"mode": "vgg", "image_size": 64, "class_names": ["a"]},
    "a long name": {"mode": "vgg", "image_size": 64, "class_names": ["n" * 1000000] * 5},
    "unknown network": {"mode": ESCAPE, "image_size": 64},
    "a list": [],
    "nothing": None,
}


def card(values):
    return json.dumps(values).encode("ascii")


def card_cases():
    """Yields every :class:`~benchmarks.robustness.case.Case` of a model card beside a small VGG."""
    good = {"mode": "vgg", "image_size": 64, "class_names": list("abcde")}
    files = _made(lambda folder: _npz(folder, "tiny.npz", np.savez, vgg_variables(5)))
    files["tiny.json"] = card(good)
    yield from around(CARDS, "card", files, ["tiny.json"])
    for name, values in _CARDS.items():
        yield Case(CARDS, "card of " + name, dict(files, **{"tiny.json": card(values)}))
    for name, data in (
        ("depth", b"[" * 100000),
        ("digits", b'{"mode": "vgg", "image_size": ' + b"6" * 1000000 + b"}"),
        ("60 MB", lambda: b'{"mode": "vgg", "image_size": 64}' + b" " * (60 << 20)),
    ):
        slow = callable(data)
        yield Case(CARDS, "card of " + name, dict(files, **{"tiny.json": data}), slow=slow)


def network_cases():
    """Checkpoints of a small VGG, all of it there, with numbers that no network has."""
    values = vgg_variables(5)
    for name, variable, array in (
        ("NaN", "conv2_1/W", values["conv2_1/W"] * np.nan),
        ("infinity", "conv2_1/W", values["conv2_1/W"] + np.inf),
        ("1e38", "conv2_1/W", values["conv2_1/W"] + 1e38),
        ("texts", "conv2_1/b", np.array(["a"] * len(values["conv2_1/b"]))),
        ("another shape", "conv2_1/b", values["conv2_1/b"][:3]),
        ("no axes", "conv1_1/W", np.float32(1)),
        ("nothing", "conv1_1/W", np.zeros((3, 3, 3, 0), "f4")),
        ("a network a thousand times as wide", "conv1_1/W", np.zeros((3, 3, 3, 64000), "f4")),
        ("two million classes", "linear/W", np.zeros((1, 2000000), "f4")),
    ):
        changed = dict(values, **{variable: array})
        files = _made(lambda folder, v=changed: _npz(folder, values=v))
        yield Case(KIND, "network of " + name, dict(files, LOAD=b"model.npz"))

    def bomb():
        return _made(
            lambda folder: _npz(folder, values=dict(values, **{"add/W": np.zeros(200 << 20, "u1")}))
        )["model.npz"]

    files = {"model.npz": bomb, "LOAD": b"model.npz"}
    yield Case(KIND, "network of 200 MB of zeros", files, slow=True)


def cases():
    """Yield every case of checkpoints; the file ``LOAD`` names what to open."""
    for name, files, load, targets in sound():
        files = dict(files, LOAD=load.encode())
        yield from around(KIND, name, files, targets, flips=16)
    for name, data in _bad_npz():
        slow = callable(data)
        yield Case(KIND, "npz of " + name, {"a.npz": data, "LOAD": b"a.npz"}, ANY, slow=slow)
    for name, data in _bad_safetensors():
        files = {"a.safetensors": data, "LOAD": b"a.safetensors"}
        yield Case(KIND, "safetensors of " + name, files, ANY)
    for write in (_bad_torch, _bad_h5):
        for path, data in _made(write).items():
            yield refused(KIND, path, {path: data, "LOAD": path.encode()})
    folder = dict(_made(_v2), LOAD=b"")
    for name, state in _STATES.items():
        data = state.encode() if isinstance(state, str) else state
        yield Case(KIND, "state of " + name, dict(folder, checkpoint=data), slow=callable(data))
    for extension in ("npz", "h5", "pth", "safetensors", "ckpt", "pt", "hdf5", "index"):
        path = "empty." + extension
        yield refused(KIND, path, {path: b"", "LOAD": path.encode()})
        path = "text." + extension
        yield refused(KIND, path, {path: b"hello\n" * 50, "LOAD": path.encode()})
    for name, files, load, _ in list(sound())[:2] + list(sound())[5:]:
        other = "other.ckpt"
        yield Case(KIND, name + " as .ckpt", {other: files[load], "LOAD": other.encode()}, GOOD)
    yield from network_cases()
    yield from card_cases()
