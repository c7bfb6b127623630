"""The package reaches no network, starts no program and runs no data, as far as its source tells."""

import ast
import os

import pytest

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
    os.path.join("dgl", "labeling", "formats", "__init__.py"): {"import_module"},
    os.path.join("dgl", "labeling", "formats", "labelstudio.py"): {"urllib"},
    os.path.join("dgl", "labeling", "formats", "yolo.py"): {"yaml"},
    os.path.join("dgl", "serving", "api.py"): {"http", "urllib"},
    os.path.join("dgl", "serving", "review.py"): {"urllib"},
    os.path.join("dgl", "utils", "renamed.py"): {"import_module"},
    os.path.join("dgl", "utils", "startup.py"): {"ctypes"},
    os.path.join("dgl", "weights", "fetch.py"): {"requests"},
    os.path.join("dgl", "weights", "formats", "__init__.py"): {"import_module"},
    os.path.join("dgl", "weights", "formats", "torch_pickle.py"): {"pickle"},
    os.path.join("dgl", "serving", "server.py"): {"socket"},
    os.path.join("dgl", "training", "relay.py"): {"subprocess"},
}
_CALLS = {"eval", "exec", "compile", "__import__"}
_METHODS = {"system", "popen", "execv", "execve", "execvp", "spawnv", "import_module"}


def sources(root):
    for folder in ("dgl", "train_code", "test_code"):
        for parent, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith(".py"):
                    yield os.path.relpath(os.path.join(parent, name), root)


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
    paths = sorted(sources(root))
    assert len(paths) > 100
    for path in paths:
        with open(os.path.join(root, path), encoding="utf-8") as stream:
            assert suspects(stream.read()) <= _MAY.get(path, set()), path
