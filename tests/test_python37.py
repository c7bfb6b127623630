"""What the oldest supported interpreter and TensorFlow need, checked on the source text.

Every module, script, benchmark and test parses as Python 3.7 and uses nothing of a selection of what
later standard libraries brought: what is easily taken for granted, by the names it usually goes by (an
alias, or a method of an object whose type the source does not tell, passes; the suite on Python 3.7
finds those). All but the tests reach TensorFlow only through ``dgl/tf_compat.py`` and only by names in
``tf115_symbols.txt``: the public names of TF 1.15's ``tensorflow.compat.v1`` that the project uses. A new
name is added there after a look at TF 1.15's API.
"""

import ast
import io
import os
import sys
import tokenize

import pytest

from dgl.tf_compat import tf

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
SYMBOLS = os.path.join(TESTS, "tf115_symbols.txt")
ALL_SYMBOLS = os.path.join(ROOT, os.pardir, "shared", "spec", "tf115_compat_v1_symbols.txt")
GATE = os.path.join("dgl", "tf_compat.py")

# Standard library since 3.8: whole modules, names by module, methods that no earlier type has, and
# keyword arguments by function.
_LATER_MODULES = {"zoneinfo", "graphlib", "tomllib", "importlib.metadata"}
_LATER_NAMES = {
    "ast": {"unparse", "get_source_segment"},
    "contextlib": {"chdir", "aclosing"},
    "functools": {"cached_property", "cache", "singledispatchmethod"},
    "importlib": {"metadata"},
    "itertools": {"pairwise", "batched"},
    "math": {"prod", "dist", "isqrt", "comb", "perm", "lcm", "nextafter", "ulp", "cbrt", "exp2"},
    "multiprocessing": {"parent_process", "shared_memory"},
    "shlex": {"join"},
    "statistics": {"fmean", "geometric_mean", "quantiles"},
    "typing": {
        "Literal", "Final", "Protocol", "TypedDict", "Annotated", "ParamSpec", "TypeAlias", "Self",
        "final", "runtime_checkable", "get_args", "get_origin",
    },
}  # fmt: skip
_LATER_METHODS = {"removeprefix", "removesuffix", "is_relative_to", "with_stem", "bit_count"}
_LATER_KEYWORDS = {
    ("TemporaryDirectory", "ignore_cleanup_errors"),
    ("TemporaryDirectory", "delete"),
    ("NamedTemporaryFile", "delete_on_close"),
    ("accumulate", "initial"),
    ("basicConfig", "force"),
    ("basicConfig", "encoding"),
    ("copytree", "dirs_exist_ok"),
    ("dataclass", "slots"),
    ("dataclass", "kw_only"),
    ("extractall", "filter"),
    ("field", "kw_only"),
    ("glob", "root_dir"),
    ("md5", "usedforsecurity"),
    ("sha1", "usedforsecurity"),
    ("shutdown", "cancel_futures"),
    ("unlink", "missing_ok"),
    ("zip", "strict"),
}
_GENERICS = {"list", "dict", "tuple", "set", "frozenset", "type"}


def sources(tops=("dgl", "train_code", "test_code", "benchmarks")):
    """Paths of the project's modules, scripts and benchmarks, relative to its root."""
    found = []
    for top in tops:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            found += [os.path.join(folder, name) for name in names if name.endswith(".py")]
    return sorted(os.path.relpath(path, ROOT) for path in found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as stream:
        return stream.read()


def parse(text):
    """Parse as Python 3.7 would; Python 3.8 and 3.9 let some later syntax pass."""
    if sys.version_info < (3, 8):
        return ast.parse(text)
    tree = ast.parse(text, feature_version=(3, 7))
    refuse_names_in_brackets(text)
    return tree


def refuse_names_in_brackets(text):
    """Raise SyntaxError for ``with (a as b, c as d):``, which Python 3.13 lets pass as 3.7's.

    Until Python 3.9 ``as`` was inside brackets only in ``from module import (a as b)``.
    """
    depth, first = 0, None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NEWLINE:
            first = None
        elif token.type in (tokenize.NAME, tokenize.OP):
            first = first or token.string
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == "as" and depth and first != "from":
                raise SyntaxError(f"line {token.start[0]}: 'as' in brackets")


def later_library(tree):
    """Uses of what the standard library or the built-in types have since 3.8.

    An import that a handler of ``ImportError`` goes with is ready for its absence.
    """
    found = []
    guarded = guarded_imports(tree)
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in _LATER_MODULES]
        elif isinstance(node, ast.ImportFrom):
            later = _LATER_NAMES.get(node.module, ())
            found += [node.module] if node.module in _LATER_MODULES else []
            found += [alias.name for alias in node.names if alias.name in later]
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else None
            if node.attr in _LATER_METHODS or node.attr in _LATER_NAMES.get(owner, ()):
                found.append(node.attr)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            found += [k.arg for k in node.keywords if (name, k.arg) in _LATER_KEYWORDS]
        elif isinstance(node, ast.Subscript) and getattr(node.value, "id", None) in _GENERICS:
            found.append(node.value.id + "[...]")
        found += ["X | Y" for part in annotations(node) if has_union(part)]
    return found


def guarded_imports(tree):
    """Identities of the imports in a ``try`` with ``except ImportError``."""
    return {
        id(node)
        for attempt in ast.walk(tree)
        if isinstance(attempt, ast.Try)
        and any(getattr(handler.type, "id", None) == "ImportError" for handler in attempt.handlers)
        for statement in attempt.body
        for node in ast.walk(statement)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }


def annotations(node):
    """The annotations of an argument, a variable or what a function returns."""
    fields = (getattr(node, "annotation", None), getattr(node, "returns", None))
    return [field for field in fields if isinstance(field, ast.AST)]


def has_union(annotation):
    """Whether an annotation has a union written with a bar, like ``int | None``."""
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
        for node in ast.walk(annotation)
    )


def tensorflow_imports(tree):
    """Modules of TensorFlow that the source imports by itself."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(node.module)
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            first = getattr(node.args[0], "value", getattr(node.args[0], "s", None))
            if name in ("import_module", "__import__") and isinstance(first, str):
                found.append(first)
    return [name for name in found if name.split(".")[0] in ("tensorflow", "keras", "tf_keras")]


def chains(tree):
    """Every ``tf.a.b.c`` in the source, as ``a.b.c``; a call ends a chain."""
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id == "tf":
            found.add(".".join(reversed(parts)))
    return found


def other_names(tree):
    """Uses of ``tf`` that ``chains`` cannot follow: an alias, an argument, ``getattr``."""
    followed = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
        and node.id == "tf"
        and isinstance(node.ctx, ast.Load)
        and id(node) not in followed
    ]


def listed(path=SYMBOLS):
    with open(path) as stream:
        return [line.strip() for line in stream if line.strip()]


def public_prefix(chain, symbols):
    """The longest prefix of a chain that is a listed symbol, or ``None``."""
    parts = chain.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in symbols:
            return prefix
    return None


@pytest.mark.parametrize("path", sources())
def test_module(path):
    tree = parse(read(path))
    assert later_library(tree) == []
    assert other_names(tree) == []
    if path != GATE:
        assert tensorflow_imports(tree) == []
    symbols = set(listed())
    assert [chain for chain in sorted(chains(tree)) if not public_prefix(chain, symbols)] == []


@pytest.mark.parametrize("path", sources(["tests"]))
def test_test(path):
    assert later_library(parse(read(path))) == []


def test_the_check_covers_the_project():
    found = sources()
    assert GATE in found
    assert os.path.join("test_code", "dome_image_DGL.py") in found
    assert os.path.join("dgl", "backbones", "vgg.py") in found
    assert os.path.join("benchmarks", "fidelity.py") in found
    assert os.path.join("tests", "weights", "test_torch_file.py") in sources(["tests"])
    assert tensorflow_imports(parse(read(GATE))) == ["tensorflow.compat.v1"]


def test_symbols_are_sorted_used_and_no_modules():
    symbols = listed()
    assert symbols == sorted(set(symbols))
    used = set()
    for path in sources():
        used |= {public_prefix(chain, set(symbols)) for chain in chains(parse(read(path)))}
    assert used == set(symbols)
    # A module in the list would let any name below it pass.
    for name in symbols:
        parts = name.split(".")
        assert ".".join(parts[:-1]) not in symbols


@pytest.mark.parametrize("symbol", listed())
def test_symbol_exists_in_the_installed_tensorflow(symbol):
    found = tf
    for part in symbol.split("."):
        found = getattr(found, part)
    assert type(found).__name__ not in ("module", "TFModuleWrapper")


@pytest.mark.skipif(not os.path.isfile(ALL_SYMBOLS), reason="no list of TF 1.15's names at hand")
def test_symbols_are_public_in_tensorflow_115():
    assert set(listed()) <= set(listed(ALL_SYMBOLS))


@pytest.mark.skipif(sys.version_info < (3, 10), reason="this Python's parser is not as strict")
@pytest.mark.parametrize(
    "text",
    [
        "if (n := 3) > 2:\n    pass",
        "def f(a, /):\n    return a",
        "match x:\n    case 1:\n        pass",
        "with (open(a) as b, open(c) as d):\n    pass",
        "with (\n    open(a) as b\n):\n    pass",
        "try:\n    pass\nexcept* ValueError:\n    pass",
    ],
)
def test_later_syntax_fails(text):
    if sys.version_info >= (3, 11):
        ast.parse(text)
    with pytest.raises(SyntaxError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "from os import (path as p, sep)\nimport io as i",
        "with open(a) as b, open(c) as d:\n    e = [(b, d)]",
        "try:\n    f(x)\nexcept (OSError, ValueError) as error:\n    raise",
    ],
)
def test_earlier_syntax_passes(text):
    parse(text)


@pytest.mark.parametrize(
    "text, names",
    [
        ("from functools import cached_property, partial", ["cached_property"]),
        ("import math\nmath.prod([1])\nmath.sqrt(2)", ["prod"]),
        ("import tomllib", ["tomllib"]),
        ("'a'.removeprefix('b')", ["removeprefix"]),
        ("shutil.copytree(a, b, dirs_exist_ok=True)", ["dirs_exist_ok"]),
        ("zip(a, b, strict=True)", ["strict"]),
        ("def f(a: list[int]) -> dict: pass", ["list[...]"]),
        ("import ast\nast.unparse(tree)\nast.parse(text)", ["unparse"]),
        ("from functools import singledispatchmethod", ["singledispatchmethod"]),
        ("multiprocessing.parent_process()", ["parent_process"]),
        ("from multiprocessing import parent_process, Process", ["parent_process"]),
        ("shlex.join(a)\nos.path.join(a, b)\n','.join(a)", ["join"]),
        ("TemporaryDirectory(ignore_cleanup_errors=True)", ["ignore_cleanup_errors"]),
        ("tempfile.TemporaryDirectory(dir=a, delete=False)", ["delete"]),
        ("from importlib.metadata import version", ["importlib.metadata"]),
        ("from importlib import metadata, util", ["metadata"]),
        ("try:\n    import tomllib\nexcept ImportError:\n    tomllib = None", []),
        ("try:\n    import tomllib\nexcept OSError:\n    raise", ["tomllib"]),
        ("try:\n    math.prod(a)\nexcept ImportError:\n    import zoneinfo", ["zoneinfo", "prod"]),
        ("Path(a).is_relative_to(b)", ["is_relative_to"]),
        ("def f(a: int | None, *, b: str = '') -> None: pass", ["X | Y"]),
        ("def f(a) -> Tuple[int | str, int]: pass", ["X | Y"]),
        ("x: float | None = None", ["X | Y"]),
        ("x: int = a | b\ny = a | b\ndef f(a: int = re.I | re.S): pass", []),
        ("np.prod(a)\nfrom typing import List", []),
    ],
)
def test_later_library_is_seen(text, names):
    assert later_library(ast.parse(text)) == names


@pytest.mark.parametrize(
    "text, names",
    [
        ("import tensorflow as tf", ["tensorflow"]),
        ("import os, tensorflow.compat.v1", ["tensorflow.compat.v1"]),
        ("def f():\n    from tensorflow.python import keras", ["tensorflow.python"]),
        ("importlib.import_module('tensorflow')", ["tensorflow"]),
        ("from dgl.tf_compat import tf", []),
        ("import tensorpack", []),
    ],
)
def test_tensorflow_imports_are_seen(text, names):
    assert tensorflow_imports(ast.parse(text)) == names


def test_chains_and_prefixes():
    tree = ast.parse(
        "tf.train.Saver(v).save(s, tf.train.NoSuchThing)\n"
        "tf.GraphKeys.UPDATE_OPS\nother.tf.nn.relu\ntf.float32.name\ntf.nn.not_there(x)"
    )
    assert chains(tree) == {
        "train.Saver",
        "train.NoSuchThing",
        "GraphKeys.UPDATE_OPS",
        "float32.name",
        "nn.not_there",
    }
    symbols = {"train.Saver", "GraphKeys", "float32", "nn.relu"}
    found = {chain: public_prefix(chain, symbols) for chain in chains(tree)}
    assert found == {
        "train.Saver": "train.Saver",
        "train.NoSuchThing": None,
        "GraphKeys.UPDATE_OPS": "GraphKeys",
        "float32.name": "float32",
        "nn.not_there": None,
    }


@pytest.mark.parametrize("text", ["nn = tf", "getattr(tf, 'x')", "f(tf)"])
def test_an_alias_of_tf_is_seen(text):
    assert other_names(ast.parse(text)) == [1]


def test_a_name_that_tensorflow_115_lacks_is_not_listed():
    symbols = set(listed())
    for chain in ("random.Generator.from_seed", "nn.silu", "data.AUTOTUNE", "__version__"):
        assert public_prefix(chain, symbols) is None
