"""Every TensorFlow name in the sources exists in TensorFlow 1.15's `compat.v1`."""

import ast
import os
from pathlib import Path

import pytest

TENSORFLOW_NAMES = os.path.join("..", "shared", "spec", "tf115_compat_v1_symbols.txt")
FOLDERS = ("dgl", "train_code", "test_code", "benchmarks")


def tensorflow_names(text):
    """Every `tf.a.b.c` in a source text, as `a.b.c`."""
    tree = ast.parse(text)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            parts = []
            while isinstance(node, ast.Attribute):
                parts.insert(0, node.attr)
                node = node.value
            if isinstance(node, ast.Name) and node.id in ("tf", "lazy_tf"):
                names.add(".".join(parts))
    return names


def is_public(name, public):
    """Whether a name, or the object whose attribute it is, is in the list of public names."""
    parts = name.split(".")
    return any(".".join(parts[:length]) in public for length in range(len(parts), 0, -1))


def test_names_exist_in_tensorflow_115(root):
    path = os.path.join(root, TENSORFLOW_NAMES)
    if not os.path.isfile(path):
        pytest.skip("the list of TensorFlow 1.15's names is not beside the project")
    with open(path) as stream:
        names = {line.strip() for line in stream}
    # Without its modules, below which any name would pass.
    public = names - {name.rpartition(".")[0] for name in names}
    for path in (path for folder in FOLDERS for path in Path(root, folder).rglob("*.py")):
        names = sorted(tensorflow_names(path.read_text(encoding="utf-8")))
        assert [name for name in names if not is_public(name, public)] == [], path
