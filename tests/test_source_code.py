"""What the sources tell: the package reaches no network, starts no program and runs no data, and every
TensorFlow name exists in TensorFlow 1.15's `compat.v1`."""

import ast
import os

import pytest

TENSORFLOW_NAMES = os.path.join("..", "shared", "spec", "tf115_compat_v1_symbols.txt")
# Modules that reach other machines, start programs, or make code of data; and who may (docs/security.md).
_MODULES = set(
    (
        "asyncio ctypes dill ftplib http marshal multiprocessing.managers pickle requests shelve "
        "smtplib socket socketserver ssl subprocess telnetlib urllib urllib3 webbrowser xmlrpc "
        "yaml"
    ).split()
)
_MAY = {
    os.path.join("dgl", "attribution", "__init__.py"): {"import_module"},
    os.path.join("dgl", "backbones", "__init__.py"): {"import_module"},
    os.path.join("dgl", "data", "layouts", "__init__.py"): {"import_module"},
    os.path.join("dgl", "data", "layouts", "yolo.py"): {"yaml"},
    os.path.join("dgl", "data", "text_files.py"): {"urllib"},
    os.path.join("dgl", "evaluation", "ray_workers.py"): {"pickle", "socket"},
    os.path.join("dgl", "foreign", "open_model.py"): {"subprocess"},
    os.path.join("dgl", "labeling", "formats.py"): {"urllib", "yaml"},
    os.path.join("dgl", "serving", "json_server.py"): {"http", "socket", "urllib"},
    os.path.join("dgl", "serving", "review.py"): {"urllib"},
    os.path.join("dgl", "utils", "renamed.py"): {"import_module"},
    os.path.join("dgl", "utils", "startup.py"): {"ctypes"},
    os.path.join("dgl", "weights", "fetch.py"): {"requests"},
    os.path.join("dgl", "weights", "formats", "__init__.py"): {"import_module"},
    os.path.join("dgl", "weights", "formats", "torch_pickle.py"): {"pickle"},
    os.path.join("dgl", "training", "relay.py"): {"subprocess"},
}
_CALLS = {"eval", "exec", "compile", "__import__"}
_METHODS = {"system", "popen", "execv", "execve", "execvp", "spawnv", "import_module"}


def sources(root, folders):
    """(path below the root, text) of every source."""
    for folder in folders:
        for parent, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith(".py"):
                    path = os.path.join(parent, name)
                    with open(path, encoding="utf-8") as stream:
                        yield os.path.relpath(path, root), stream.read()


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def suspects(text):
    """Names of modules, calls and arguments in a source that the claim rules out."""
    tree = ast.parse(text)
    found = set()
    for name in imported(tree):
        parts = name.split(".")
        found |= {".".join(parts[:end]) for end in range(1, len(parts) + 1)} & _MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
                found.add(node.func.id)
            if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
                found.add(node.func.attr)
            for word in node.keywords:
                # A constant; Python 3.7 has another class for those than later ones.
                allowed = getattr(word.value, "value", None) is False
                if word.arg in ("allow_pickle", "shell") and not allowed:
                    found.add(word.arg)
    return found


@pytest.mark.slow
def test_no_source_has_a_way(root):
    found = dict(sources(root, ("dgl", "train_code", "test_code")))
    assert len(found) > 100
    for path, text in found.items():
        assert suspects(text) <= _MAY.get(path, set()), path


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
    for path, text in sources(root, ("dgl", "train_code", "test_code", "benchmarks")):
        unknown = [name for name in sorted(tensorflow_names(text)) if not is_public(name, public)]
        assert unknown == [], path
