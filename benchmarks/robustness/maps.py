"""Valid and damaged score maps with their metadata."""

import io
import struct
import zipfile
import zlib

import numpy as np

from .case import GOOD, Case
from .data_sets import SECRET, WSOL
from .mutate import REPLACEMENTS, around, refused

KIND = "maps"
SIDE = 224
TARGET = "maps/a/1.jpg.npy"


def npy(array, **options):
    """The bytes of an array in NumPy's own format."""
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npy_header(text, version=1):
    """A file with any header and no data."""
    body = text.encode("latin1")
    length = struct.pack("<H" if version == 1 else "<I", len(body))
    return b"\x93NUMPY" + bytes([version, 0]) + length + body


def described(shape, descr="'<f4'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


class Runs:
    """What unpickling runs as a program."""

    def __reduce__(self):
        import os

        return os.system, ("touch CANARY",)


def pickled_array():
    """An ``.npy`` whose data are a pickle that runs a program."""
    return npy(np.array([Runs()], object), allow_pickle=True)


def tree(data):
    """Metadata of two images, the map of the second and the first one's as given."""
    score_map = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE).astype("f4")
    prefix = "metadata/BIRDS/test/"
    files = {
        "metadata/" + name[len(prefix) :]: text
        for name, text in WSOL.items()
        if name.startswith(prefix)
    }
    files["maps/b/2.jpg.npy"] = npy(score_map)
    files[TARGET] = npy(score_map) if data is None else data
    return files


def _zip_of_zeros(megabytes):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * (megabytes << 20))
    return stream.getvalue()


def bad_maps():
    """name -> bytes (or a callable) of maps that are none."""
    plain = np.full((SIDE, SIDE), 0.5, "f4")
    return {
        "NaN": npy(plain * np.nan),
        "infinity": npy(plain * np.inf),
        "negative": npy(-plain),
        "above one": npy(plain * 3),
        "one NaN": npy(np.where(np.eye(SIDE) * np.arange(SIDE) == 7, np.nan, plain)),
        "complex": npy(plain.astype("c8")),
        "whole numbers": npy(plain.astype("i4")),
        "texts": npy(np.array(["a"])),
        "records": npy(np.zeros(3, "f4,i4")),
        "a single number": npy(np.float32(0.5)),
        "three axes": npy(np.zeros((SIDE, SIDE, 1), "f4")),
        "1 x 50176": npy(plain.reshape(1, -1)),
        "a pickle": pickled_array(),
        "2**40 floats": npy_header(described("(1099511627776,)")),
        "2**31 floats": npy_header(described("(2147483648,)")),
        "2**90 floats": npy_header(described("(2**90,)".replace("2**90", str(2**90)))),
        "-1 floats": npy_header(described("(-1,)")),
        "an object": npy_header(described("(224, 224)", "'|O'")),
        "an unknown type": npy_header(described("(224, 224)", "'<q99'")),
        "a type of nothing": npy_header(described("(9999999999,)", "'|V0'")),
        "a deep header": npy_header("(" * 5000),
        "a deep and long header": npy_header("-" * 60000 + "1"),
        "a call in the header": npy_header("__import__('os').system('touch CANARY')"),
        "a header of other keys": npy_header("{'a': 1}\n"),
        "a header of 4 GB": b"\x93NUMPY\x02\0\xff\xff\xff\xff{",
        "a header of bytes": npy_header("\xff\xfe\0"),
        "version 9": b"\x93NUMPY\x09\0" + npy(plain)[8:],
        "an empty zip": b"PK\x05\x06" + b"\0" * 18,
        "half a zip": b"PK\x03\x04" + b"\0" * 40,
        "a zip of 500 MB": lambda: _zip_of_zeros(500),
        "a stream of zlib": zlib.compress(b"\0" * 10000),
        "text": b"0.5 0.5\n" * 9,
        "2 MB": b"\x93NUMPY" + b"\0" * (2 << 20),
    }


def cases():
    """Yields every :class:`~benchmarks.robustness.case.Case` of score maps."""
    yield from around(KIND, "map", tree(None), [TARGET], flips=24)
    for form in ("f2", "f8", ">f4"):
        array = np.full((SIDE, SIDE), 0.25, form)
        yield Case(KIND, "map of " + form, tree(npy(array)), GOOD)
    for name, data in bad_maps().items():
        yield refused(KIND, "map is " + name, tree(data), slow=callable(data))
    files = tree(None)
    for name in ("image_ids.txt", "image_sizes.txt", "localization.txt"):
        for what, make in REPLACEMENTS:
            target = "metadata/" + name
            rest = {key: value for key, value in files.items() if key != target}
            yield refused(KIND, f"{target} is {what}", rest, {target: make})
    secret = {"outside.txt": SECRET.encode()}
    for path in ("../outside", "/etc/hostname", "a/../../x"):
        ids = files["metadata/image_ids.txt"] + path.encode() + b"\n"
        yield refused(
            KIND, "a map at " + path, dict(files, **secret, **{"metadata/image_ids.txt": ids})
        )
