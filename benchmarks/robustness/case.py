"""One input of the corpus: a folder with files, links, pipes and the like."""

import os
import shutil
from typing import Callable, Dict, NamedTuple, Union

GOOD, REFUSED, ANY = "good", "refused", "any"


class Case(NamedTuple):
    """One input.

    Attributes:
        kind: str, which decides what reads it (:mod:`benchmarks.robustness.loaders`).
        name: str, unique among those of its kind.
        files: relative path -> bytes, or a callable without arguments that gives them.
        outcome: ``"good"`` where it has to be read, ``"refused"`` where it must not be, ``"any"``
            where either will do.
        nodes: relative path -> callable ``(path, outside)`` that puts something else than a file
            there. ``outside`` is a folder beside the case's own.
        slow: bool, whether it is left out of the sample that the tests run.
    """

    kind: str
    name: str
    files: Dict[Union[str, bytes], Union[bytes, Callable]]
    outcome: str = ANY
    nodes: Dict[str, Callable] = {}  # noqa: RUF012
    slow: bool = False


def write_case(case, folder, outside):
    """Put a case into ``folder``, which is emptied first; ``outside`` holds what links lead to."""
    for path in (folder, outside):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
    for relative, data in case.files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(relative))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(data() if callable(data) else data)
    for relative, make in case.nodes.items():
        path = os.path.join(folder, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.remove(path)
        make(path, outside)


def read_tree(folder):
    """The files below a folder, as a case has them."""
    files = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as stream:
                files[os.path.relpath(path, folder).replace(os.sep, "/")] = stream.read()
    return files
