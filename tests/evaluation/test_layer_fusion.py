"""Entries, fusions, and the score maps of an image."""

import numpy as np
import pytest

from dgl.backbones import get_backbone
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import Fusion, file_name, make_fusions, score_maps
from dgl.predict import postprocess

ENTRIES = [("dgl", "a/1"), ("dgl", "b"), ("dgl", "c"), ("cam", "a/1"), ("layercam", "b")]


def test_names():
    assert file_name(("dgl", "a/1")) == "dgl@a_1"
    assert Fusion("dgl", "mean", ("a/1", "b")).entry == ("dgl", "mean(a/1+b)")
    long = Fusion("dgl", "max", tuple("abcdef"))
    assert long.entry == ("dgl", "max(a..f, 6 layers)")
    assert "/" not in file_name(long.entry) and " " not in file_name(long.entry)


@pytest.mark.parametrize(
    "kinds, layers, expected",
    [
        ((), None, []),
        (("mean",), None, [("dgl", "mean", ("a/1", "b", "c"))]),
        (("mean", "max"), ("b", "c"), [("dgl", k, ("b", "c")) for k in ("mean", "max")]),
    ],
)
def test_methods_with_two_layers_are_fused(kinds, layers, expected):
    assert make_fusions(ENTRIES, kinds, layers) == expected


def test_nothing_to_fuse_is_told():
    with pytest.raises(UserError, match="--fuse mean: expected two or more layers"):
        make_fusions(ENTRIES, ["mean"], ("b",))


def geometric_mean(maps, axis):
    return np.exp(np.log(np.array(maps) + 0.05).mean(axis))


@pytest.mark.parametrize(
    "kind, reduce", [("mean", np.mean), ("max", np.max), ("geo", geometric_mean)]
)
def test_maps_are_normalized_resized_and_fused(kind, reduce):
    rng = np.random.RandomState(0)
    raw = {entry: rng.randn(side, side) for entry, side in zip(ENTRIES, (4, 7, 14, 7, 7))}
    fusion = Fusion("dgl", kind, ("a/1", "c"))
    found = dict(score_maps(raw, 28, [fusion]))
    assert list(found) == ENTRIES + [fusion.entry]
    for entry in ENTRIES:
        single = raw[entry] - raw[entry].min()
        expected = postprocess.resize_map(single / single.max(), 28, 28)
        np.testing.assert_allclose(found[entry], expected, atol=1e-6)
    both = reduce([found[ENTRIES[0]], found[ENTRIES[2]]], axis=0)
    expected = (both - both.min()) / (both.max() - both.min())
    np.testing.assert_allclose(found[fusion.entry], expected, atol=1e-6)
    assert all(m.min() >= 0 and m.max() <= 1 and m.shape == (28, 28) for m in found.values())


@pytest.mark.parametrize(
    "given, expected",
    [
        (["all"], range(18)),
        (["1-4"], [1, 2, 3, 4]),
        (["4-1"], [4, 3, 2, 1]),
        (["conv5_3-conv5_1", "0"], [1, 2, 3, 0]),
        (["2", "1-3", 2], [2, 1, 3]),
        (["1-conv5_1"], [1, 2, 3]),
    ],
)
def test_layers_by_index_name_range_and_all(given, expected):
    vgg = get_backbone("vgg")
    assert vgg.layer_names(given) == tuple(vgg.layers[index] for index in expected)
