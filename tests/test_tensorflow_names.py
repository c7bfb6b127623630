"""Every TensorFlow name in the sources exists in TensorFlow 1.15's `compat.v1`."""

import ast
import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PUBLIC = os.path.join(ROOT, os.pardir, "shared", "spec", "tf115_compat_v1_symbols.txt")
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


@pytest.fixture(scope="module")
def public():
    """TensorFlow 1.15's public names without its modules, below which any name would pass."""
    if not os.path.isfile(PUBLIC):
        pytest.skip("the list of TensorFlow 1.15's names is not beside the project")
    with open(PUBLIC) as stream:
        names = {line.strip() for line in stream}
    return names - {name.rpartition(".")[0] for name in names}


def test_names_exist_in_tensorflow_115(public):
    unknown = []
    for folder in FOLDERS:
        for below, _, files in os.walk(os.path.join(ROOT, folder)):
            for name in sorted(files):
                if name.endswith(".py"):
                    path = os.path.join(below, name)
                    with open(path, encoding="utf-8") as stream:
                        used = tensorflow_names(stream.read())
                    unknown += [(path, one) for one in sorted(used) if not is_public(one, public)]
    assert unknown == []
