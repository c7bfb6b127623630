"""All requested maps at once: which ones, that they are what single calls give, the passes they share."""

from collections import Counter

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, LAST, LAYERS, N, TinyNetwork, network_of, normalize

from dgl.attribution import METHODS, build_maps, cam_map, dgl_map
from dgl.errors import UserError
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=2)
INF = float("inf")
VARIANTS = {
    "dgl(pa=0.1)": (0.1, "kernel"),
    "dgl(pa=1)": (1.0, "kernel"),
    "dgl(pa=10,kernel)": (10.0, "kernel"),
    "dgl(pa=1000)": (1000.0, "kernel"),
    "dgl(pa=inf)": (INF, "kernel"),
    "dgl(pa=0.1,exact)": (0.1, "exact"),
    "dgl(pa=10,exact)": (10.0, "exact"),
}


@pytest.mark.parametrize(
    "methods, layers, keys",
    [
        (("dgl",), LAYERS, [("dgl", "activation"), ("dgl", "hidden")]),
        (("dgl",), LAYERS[::-1], [("dgl", "hidden"), ("dgl", "activation")]),
        (("cam",), ("activation",), [("cam", "hidden")]),
        (("cam",), (), [("cam", "hidden")]),
        (("dgl",), (), []),
        (("cam", "dgl"), ("activation",), [("cam", "hidden"), ("dgl", "activation")]),
        (("dgl(pa=2)", "dgl"), ("hidden",), [("dgl(pa=2)", "hidden"), ("dgl", "hidden")]),
        (("eigencam", "eigencam"), ("hidden",), [("eigencam", "hidden")]),
        (("dgl-pcs", "cam"), ("hidden",), [("dgl-pcs", "hidden"), ("cam", "hidden")]),
        ((), LAYERS, []),
    ],
)
def test_entries_and_their_order(methods, layers, keys):
    with tf.Graph().as_default():
        maps = build_maps(network_of(TINY.tensors()), methods, layers, LAST, CLASS_INDEX)
        assert list(maps) == keys
        assert all(op.shape.as_list()[1:] == [4, 5] for op in maps.values())


def test_entries_of_every_method():
    with tf.Graph().as_default():
        network = network_of(TINY.tensors())
        maps = build_maps(network, METHODS, LAYERS, LAST, CLASS_INDEX, image_size=32)
        expected = {(name, layer) for name in METHODS for layer in LAYERS}
        expected -= {("cam", "activation")}
        own = {"center", "foreground"}
        expected = {(name, layer) for name, layer in expected if name not in own}
        assert set(maps) == expected | {(name, "image") for name in own}
        assert maps["center", "image"].shape.as_list()[1:] == [32, 32]


@pytest.mark.parametrize("alpha, semantics", [(3.0, "kernel"), (2.0, "exact")])
def test_maps_are_those_of_single_calls(alpha, semantics):
    methods = list(METHODS) + list(VARIANTS)
    with tf.Graph().as_default(), tf.Session() as session:
        t = TINY.tensors()
        together = build_maps(network_of(t), methods, LAYERS, LAST, CLASS_INDEX, alpha, semantics)
        alone = {
            ("dgl", name): dgl_map(t.logits, tensor, CLASS_INDEX, alpha, semantics)
            for name, tensor in zip(LAYERS, (t.activation, t.hidden))
        }
        alone["cam", LAST] = cam_map(t.logits, t.hidden, CLASS_INDEX, t.weights)
        variants = {}
        if semantics == "kernel":  # which some of them leave open
            for name, settings in VARIANTS.items():
                variants[name] = dgl_map(t.logits, t.activation, CLASS_INDEX, *settings)
        fetches = [together, alone, variants]
        together, alone, variants = session.run(fetches, {t.activation: TINY.activation})
    for key in alone:
        np.testing.assert_array_equal(together[key], alone[key])
    usual = normalize(together["dgl", "activation"])
    for name, expected in variants.items():
        found = together[name, "activation"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        assert np.abs(normalize(found) - usual).max() > 1e-3


def test_a_batch_is_its_images_each_with_its_own_class():
    methods = [*METHODS, "dgl(pa=0.1)", "dgl(pa=0.1,exact)"]
    with tf.Graph().as_default(), tf.Session() as session:
        t = TINY.tensors()
        target = tf.placeholder(tf.int32, [None])
        maps = build_maps(network_of(t), methods, LAYERS, LAST, target, image_size=8)

        def run(classes, images=slice(None)):
            return session.run(maps, {t.activation: TINY.activation[images], target: classes})

        batch, first, second = (run(classes) for classes in (CLASS_INDEX, [0] * N, [1] * N))
        singles = [run(CLASS_INDEX[i : i + 1], slice(i, i + 1)) for i in range(N)]
    for key, found in batch.items():
        single = np.concatenate([one[key] for one in singles])
        np.testing.assert_allclose(found, single, rtol=0, atol=1e-12, err_msg=str(key))
        follows = key[0] not in ("eigencam", "center", "foreground")
        assert (np.abs(first[key] - second[key]).max((1, 2)).min() > 1e-6) == follows, key


def backward_passes(methods, layers=LAYERS, **settings):
    """Convolutions that gradients flow back through; each pass has one."""
    with tf.Graph().as_default() as graph:
        build_maps(network_of(TINY.tensors()), methods, layers, LAST, CLASS_INDEX, **settings)
        return Counter(op.type for op in graph.get_operations())["Conv2DBackpropInput"]


@pytest.mark.parametrize(
    "methods, passes, at_infinity",
    [
        (["cam", "eigencam", "center"], 0, 0),
        (["gradcam"], 1, 1),
        (
            "gradcam gradcam++ xgradcam layercam hirescam dgl-pcs dgl-no-loss".split(),
            *(1, 1),
        ),
        (["dgl-no-class"], 1, 1),
        (["dgl"], 2, 1),
        (list(METHODS), 2, 1),
        (["dgl(pa=inf)"], 1, 1),
        (["dgl(pa=2,exact)"], 2, 2),
        (["dgl-no-class(pa=2,exact)", "dgl-no-class(pa=3,exact)"], 1, 1),
        (list(VARIANTS), 2, 2),
        (["dgl"] + list(VARIANTS), 3, 2),
        (list(METHODS) + list(VARIANTS) + ["dgl-no-class(pa=3)"], 3, 2),
    ],
)
def test_methods_and_layers_share_the_backward_passes(methods, passes, at_infinity):
    assert backward_passes(methods) == passes
    assert backward_passes(methods, ("activation",)) == passes
    assert backward_passes(methods, ()) == 0
    assert backward_passes(methods, alpha=INF) == at_infinity


def test_variants_without_semantics_take_those_of_all():
    methods = ["dgl(pa=5)", "dgl(pa=5,exact)", "dgl(pa=5,kernel)"]
    for semantics, same in (("exact", methods[1]), ("kernel", methods[2])):
        found = TINY.maps(methods, ["activation"], semantics=semantics)
        first, exact, kernel = (found[method, "activation"] for method in methods)
        np.testing.assert_array_equal(first, found[same, "activation"])
        assert np.abs(exact - kernel).max() > 1e-3


def test_bad_methods_and_settings():
    with pytest.raises(UserError, match="--method scorecam"):
        backward_passes(["scorecam"])
    for settings in ({"alpha": 0}, {"semantics": "fused"}):
        with pytest.raises(ValueError, match="alpha|semantics"):
            backward_passes(["dgl"], **settings)


def test_float32_stays_float32():
    found = TINY.maps(list(METHODS) + list(VARIANTS), dtype="float32")
    assert {array.dtype for array in found.values()} == {np.dtype("float32")}
    exact = TINY.maps(list(METHODS) + list(VARIANTS))
    for key, array in exact.items():
        np.testing.assert_allclose(found[key], array, rtol=0, atol=1e-5 * np.abs(array).max())
