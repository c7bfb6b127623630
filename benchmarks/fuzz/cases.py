"""Inputs that once failed, stored as small text files and replayed by the tests."""

import base64
import hashlib
import os

from benchmarks.fuzz.samples import ROOT
from dgl.utils.files import write_atomically

FOLDER = os.path.join(ROOT, "tests", "robustness", "fuzz_cases")


def keep(name, kind, data, folder=None):
    """Keep an input of the target ``name``; returns the name of its file."""
    folder = FOLDER if folder is None else folder
    digest = hashlib.sha256(data).hexdigest()[:8]
    text = base64.encodebytes(data).decode("ascii")
    file_name = f"{name}-{digest}.txt"
    write_atomically(os.path.join(folder, file_name), f"{kind}\n{text}".encode())
    return file_name


def read(file_name, folder=FOLDER):
    """``(target's name, kind of fault, input)`` of a kept input."""
    with open(os.path.join(folder, file_name), encoding="utf-8") as stream:
        kind, _, text = stream.read().partition("\n")
    return file_name.rpartition("-")[0], kind, base64.b64decode(text)


def names(folder=FOLDER):
    """Sorted names of all kept inputs."""
    found = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name for name in found if name.endswith(".txt"))
