"""Normalization of maps, each rule against its definition, and resizing."""

import numpy as np
import pytest
from refusals import refusal
from scipy.stats import scoreatpercentile

from dgl.predict.normalize import MINMAX, NORMALIZATIONS, normalize, parse_normalization, resize_map

RULES = [*NORMALIZATIONS, "pas:90", "pas:99.5", "ivr:20"]


def test_resize_map_is_bilinear_between_pixel_centers():
    score_map = np.array([[0.0, 1.0], [2.0, 3.0]])
    centers = np.clip((np.arange(4) + 0.5) / 2 - 0.5, 0, 1)
    expected = centers[np.newaxis, :] + 2 * centers[:, np.newaxis]
    np.testing.assert_allclose(resize_map(score_map, 4, 4), expected, atol=1e-6)
    assert resize_map(score_map, 3, 5).shape == (3, 5)


def by_definition(values, how):
    """One map, by the papers' formulas, a value at a time."""
    if how.kind == "minmax":
        return [(v - min(values)) / (max(values) - min(values)) for v in values]
    positive = [max(v, 0) for v in values]
    if how.kind == "max":
        return [v / max(positive) for v in positive]
    if how.kind == "pas":
        at = scoreatpercentile(positive, how.percentile)
        return [min(v / at, 1) for v in positive]
    at = scoreatpercentile(values, how.percentile)
    return [max(v - at, 0) / (max(values) - at) for v in values]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(6, 8), (2, 3, 6, 8)])
def test_every_rule_by_its_definition(rule, shape):
    how = parse_normalization(rule)
    assert parse_normalization(str(how)) == how
    maps = np.random.RandomState(1).normal(30, 100, size=shape)
    found = normalize(maps, how)
    assert found.dtype == np.float32 and found.shape == maps.shape
    for one, scaled in zip(maps.reshape(-1, 6, 8), found.reshape(-1, 6, 8)):
        np.testing.assert_allclose(scaled.ravel(), by_definition(one.ravel(), how), atol=1e-6)
        assert scaled.max() == 1 and (scaled.min() == 0 or how.kind == "max")
    np.testing.assert_allclose(normalize(7 * maps, how), found, atol=1e-6)
    if how == MINMAX:
        np.testing.assert_array_equal(normalize(maps), found)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, -2.0])
def test_maps_with_no_object(rule, value):
    assert not normalize(np.full((4, 5), value), parse_normalization(rule)).any()


def test_a_map_with_fewer_positive_places_than_the_percentile_leaves():
    raw = np.zeros((10, 10))
    raw[4, 4:6] = (3, 4)
    np.testing.assert_allclose(normalize(raw, parse_normalization("pas")), raw / 4)


@pytest.mark.parametrize("text", " pas: pas:0 pas:100 pas:x minmax:5 PAS otsu".split(" "))
def test_other_names_are_refused_with_one_line(text):
    assert refusal(parse_normalization, text).startswith(f"--normalize {text}: ")
