"""The registry, the values of ``--method`` and their messages."""

import pytest
from refusals import refusal

from dgl.attribution import METHODS, attribution_method, check_methods, expand_methods, parse_method

NAMES = (
    "cam gradcam gradcam++ xgradcam layercam hirescam eigencam normgrad normgrad-local dgl dgl-pcs "
    "dgl-no-loss dgl-no-class center refined foreground"
).split()
WITHOUT_HEAD = NAMES[:-2]


def test_registry():
    assert list(METHODS) == NAMES
    for name, needs in (("dgl", []), ("new", ["gradient"])):
        with pytest.raises(ValueError, match=name):
            attribution_method(name, "A title", "A reference", needs)(len)


@pytest.mark.parametrize(
    "text, alpha, semantics",
    [
        *((name, None, None) for name in NAMES),
        ("dgl(pa=1e3)", 1000.0, None),
        ("dgl(pa=0.5,exact)", 0.5, "exact"),
    ],
)
def test_names_and_variants(text, alpha, semantics):
    check_methods([text])
    assert parse_method(text) == (text, METHODS[text.split("(")[0]], alpha, semantics)


UNKNOWN = ["scorecam", "DGL", "", "all", "dgl(", "x(pa=1)"]
NOT_OF_THE_FORM = ["", "pa=", "pa=x", "pa=0", "pa=-inf", "pa=1e20", "pa=1,a", "exact", "pa=1)(pa=2"]
WITH_ALPHA = ["dgl", "dgl-no-class", "refined"]


@pytest.mark.parametrize(
    "text, words",
    [
        *((name, ", ".join(NAMES)) for name in UNKNOWN),
        *((f"dgl({settings})", "expected dgl(pa=ALPHA)") for settings in NOT_OF_THE_FORM),
        *((f"{name}(pa=1)", " and ".join(WITH_ALPHA)) for name in NAMES if name not in WITH_ALPHA),
    ],
)
def test_refused_methods_say_what_is_expected(text, words):
    message = refusal(check_methods, ["dgl", text])
    assert message.startswith(f"--method {text}: ") and words in message


@pytest.mark.parametrize(
    "given, expanded",
    [
        (["all"], WITHOUT_HEAD),
        (["dgl", "cam", "dgl"], ["dgl", "cam"]),
        (["center", "all"], ["center"] + WITHOUT_HEAD[:-1]),
        (["all", "dgl(pa=1)", "all"], WITHOUT_HEAD + ["dgl(pa=1)"]),
    ],
)
def test_expand_methods(given, expanded):
    assert expand_methods(given) == expanded
    assert expand_methods(["all"], has_foreground=True) == NAMES
