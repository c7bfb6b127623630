"""The package says its types: every public function has them, and they can be looked up.

What is public has no leading underscore, nor has any class around it; ``__init__`` and ``__call__`` are.
``__init__`` needs no ``-> None`` where an argument is typed, as type checkers have it.
"""

import ast
import importlib
import inspect
import os
import typing

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = os.path.join(ROOT, "dgl")

# What is imported from most; those at the end load TensorFlow.
CORE = (
    "dgl.predict.postprocess",
    "dgl.data.image_io",
    "dgl.data.layouts.registry",
    "dgl.data.sample",
    "dgl.data.views",
    "dgl.metrics.classification",
    "dgl.metrics.bootstrap",
    "dgl.evaluation.fusion",
    "dgl.metrics.fixed_threshold",
    "dgl.evaluation.results",
    "dgl.evaluation.run",
    "dgl.metrics.max_box_acc",
    "dgl.metrics.pixel_ap",
    "dgl.evaluation.plan",
    "dgl.metrics.evaluator",
    "dgl.evaluation.store",
    "dgl.utils.parallel",
    "dgl.utils.parallel",
    "dgl.report.gallery",
    "dgl.predict.overlay",
    "dgl.backbones.registry",
    "dgl.attribution.build",
    "dgl.attribution.dgl",
    "dgl.attribution.registry",
    "dgl.attribution.gradients",
    "dgl.attribution.registry",
    "dgl.predict.frozen",
    "dgl.localizer",
    "dgl.predict.predictor",
    "dgl.weights.checkpoint",
    "dgl.weights.restore",
)


def modules():
    """Paths of the package's modules that are not exempt, relative to the root, with slashes."""
    found = []
    for folder, _, names in os.walk(PACKAGE):
        found += [os.path.join(folder, name) for name in names if name.endswith(".py")]
    return sorted(os.path.relpath(path, ROOT).replace(os.sep, "/") for path in found)


def is_public(name):
    return not name.startswith("_") or name in ("__init__", "__call__")


def public_functions(body, inside=""):
    """(qualified name, node, whether the first argument is the object's own) of what callers use."""
    for node in body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from public_functions(node.body, inside + node.name + ".")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from public_functions(node.body + node.orelse, inside)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and is_public(node.name):
            decorators = [getattr(decorator, "id", None) for decorator in node.decorator_list]
            yield inside + node.name, node, bool(inside) and "staticmethod" not in decorators


def untyped(tree):
    """Texts: the arguments without a type, and functions that do not say what they return."""
    found = []
    for name, node, has_own in public_functions(tree.body):
        given = node.args
        plain = getattr(given, "posonlyargs", []) + given.args
        rest = [given.vararg, given.kwarg]
        arguments = plain[has_own:] + given.kwonlyargs + [a for a in rest if a is not None]
        found += [f"{name}({a.arg})" for a in arguments if a.annotation is None]
        is_known = node.name == "__init__" and arguments
        if node.returns is None and not is_known:
            found.append(name + " ->")
    return found


@pytest.mark.parametrize("path", modules())
def test_public_functions_are_typed(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as stream:
        assert untyped(ast.parse(stream.read())) == []


def test_what_lacks_a_type_is_found():
    text = """
def plain(a: int, b, *c, d=1, **e) -> int: ...
def returns_what(a: int): ...
def whole(a: int, *b: str) -> None: ...
def _private(a): ...
class Public:
    def __init__(self, a: int): ...
    def __len__(self): ...
    def method(self, a: int) -> int: ...
    @staticmethod
    def static(a) -> int: ...
    @classmethod
    def of(cls, a: int) -> "Public": ...
    @property
    def value(self): ...
class Empty:
    def __init__(self): ...
class _Private:
    def method(self, a): ...
if True:
    def conditional(a) -> int: ...
"""
    assert untyped(ast.parse(text)) == [
        "plain(b)",
        "plain(d)",
        "plain(c)",
        "plain(e)",
        "returns_what ->",
        "Public.static(a)",
        "Public.value ->",
        "Empty.__init__ ->",
        "conditional(a)",
    ]


def functions_of(module):
    """The module's own public functions and classes, and the functions of those classes."""
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(member):
            yield member
            for own in vars(member).values():
                function = getattr(own, "__func__", getattr(own, "fget", own))
                if inspect.isfunction(function) and is_public(function.__name__):
                    yield function
        elif inspect.isfunction(member):
            yield member


@pytest.mark.parametrize("name", CORE)
def test_types_can_be_looked_up(name):
    found = list(functions_of(importlib.import_module(name)))
    assert found
    for member in found:
        typing.get_type_hints(member)  # raises NameError for a name that is not there


def test_marked_as_typed():
    """Without this file type checkers take the installed package for untyped."""
    assert os.path.isfile(os.path.join(PACKAGE, "py.typed"))
