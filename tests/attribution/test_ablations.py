"""DGL without one of its parts: the formulas, and which of them are one map."""

import numpy as np
import pytest
from tiny_network import TinyNetwork, normalize, unit

TINY = TinyNetwork(seed=8)
CLOSE = {"rtol": 0, "atol": 1e-12}  # float64, maps of the order of 0.1
ONE_MAP = ("dgl-pcs", "dgl-no-loss", "hirescam")


def run(*methods, **settings):
    found = TINY.maps(methods, ["activation"], **settings)
    return [found[method, "activation"] for method in methods]


def test_class_selection_alone():
    (found,) = run("dgl-pcs")
    expected = np.einsum("nhwc,nhwc->nhw", TINY.class_gradient(), TINY.activation)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_without_the_loss_gradient():
    (found,) = run("dgl-no-loss")
    expected = np.einsum("nhwc,nhwc->nhw", TINY.class_gradient(), unit(TINY.activation))
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("alpha, semantics", [(10.0, "kernel"), (2.0, "kernel"), (2.0, "exact")])
def test_without_class_selection(alpha, semantics):
    (found,) = run("dgl-no-class", alpha=alpha, semantics=semantics)
    loss_gradient = TINY.loss_gradient(alpha, semantics)
    expected = (unit(TINY.activation) - unit(loss_gradient)).sum(3)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_without_class_selection_at_infinite_alpha():
    (found,) = run("dgl-no-class", alpha=float("inf"))
    expected = (unit(TINY.activation) + unit(TINY.class_gradient())).sum(3)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_without_loss_three_names_are_one_map():
    first, second, third = run(*ONE_MAP)
    np.testing.assert_array_equal(first, third)
    assert np.abs(first - second).max() > 0.1  # they differ by the norm
    np.testing.assert_allclose(normalize(first), normalize(second), **CLOSE)


def test_each_part_matters():
    maps = [normalize(found) for found in run("dgl", "dgl-pcs", "dgl-no-class")]
    for i, first in enumerate(maps):
        for second in maps[:i]:
            assert np.abs(first - second).max((1, 2)).min() > 0.05
