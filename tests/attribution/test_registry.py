"""The registry, the values of ``--method`` and their messages."""

import pytest
from refusals import refusal

from dgl.attribution import METHODS, attribution_method, check_methods, expand_methods, parse_method

NAMES = (
    "cam gradcam gradcam++ xgradcam layercam hirescam eigencam normgrad normgrad-local dgl dgl-pcs "
    "dgl-no-loss dgl-no-class center refined foreground"
).split()
WITHOUT_HEAD = NAMES[:-2]
WITH_ALPHA = ["dgl", "dgl-no-class", "refined"]


def test_registry():
    assert list(METHODS) == NAMES
    for name, method in METHODS.items():
        assert method.name == name and method.title and method.reference
        assert method.layers in ("any", "last", "image")
    special = [name for name, method in METHODS.items() if method.layers != "any"]
    assert special == ["cam", "center", "foreground"]
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    for name, needs in (("dgl", []), ("new", ["gradient"])):
        with pytest.raises(ValueError, match=name):
            attribution_method(name, "A title", "A reference", needs)(len)


@pytest.mark.parametrize(
    "text, alpha, semantics",
    [
        *((name, None, None) for name in NAMES),
        ("dgl(pa=0.1)", 0.1, None),
        ("dgl(pa=1e3)", 1000.0, None),
        ("dgl(pa=10,kernel)", 10.0, "kernel"),
        ("dgl(pa=0.5,exact)", 0.5, "exact"),
        ("dgl-no-class(pa=inf)", float("inf"), None),
    ],
)
def test_names_and_variants(text, alpha, semantics):
    check_methods([text])
    assert parse_method(text) == (text, METHODS[text.split("(")[0]], alpha, semantics)


UNKNOWN = ["scorecam", "DGL", "", "all", "dgl ", "dgl(", "(pa=1)", "x(pa=1)"]
NOT_OF_THE_FORM = (
    "|pa|pa=|pa=x|pa=0|pa=-1|pa=-inf|pa=nan|pa=1e20|pa=1,|pa=1,fused|pa=1,exact,exact|alpha=1|0.1|"
    "exact|pa=1)(pa=2"
).split("|")


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
        ([], []),
        (["dgl", "cam", "dgl"], ["dgl", "cam"]),
        (["dgl(pa=1)", "dgl"], ["dgl(pa=1)", "dgl"]),
        (["center", "all"], ["center"] + WITHOUT_HEAD[:-1]),
        (["all", "dgl(pa=1)", "all"], WITHOUT_HEAD + ["dgl(pa=1)"]),
        (["scorecam"], ["scorecam"]),  # it is for check_methods to say
    ],
)
def test_expand_methods(given, expanded):
    assert expand_methods(given) == expanded
    assert expand_methods(["all"], has_foreground=True) == NAMES
