"""All requested maps at once: which ones, that they are what single calls give, the passes they share."""

from collections import Counter

import numpy as np
import pytest
from tiny_network import CLASS_INDEX, LAYERS, N, TinyNetwork, maps_of

from dgl.attribution import METHODS
from dgl.tf_compat import tf

TINY = TinyNetwork(seed=2)
INF = float("inf")
VARIANTS = {
    "dgl(pa=0.1)": (0.1, None),
    "dgl(pa=1)": (1.0, None),
    "dgl(pa=10,kernel)": (10.0, "kernel"),
    "dgl(pa=1000)": (1000.0, None),
    "dgl(pa=inf)": (INF, None),
    "dgl(pa=0.1,exact)": (0.1, "exact"),
    "dgl(pa=10,exact)": (10.0, "exact"),
}


@pytest.mark.parametrize(
    "methods, layers, keys",
    [
        (["dgl"], LAYERS[::-1], [("dgl", "hidden"), ("dgl", "activation")]),
        (["cam"], ["activation"], [("cam", "hidden")]),
        (["cam", "dgl"], ["activation"], [("cam", "hidden"), ("dgl", "activation")]),
        (["dgl(pa=2)", "dgl"], ["hidden"], [("dgl(pa=2)", "hidden"), ("dgl", "hidden")]),
        (["eigencam", "eigencam"], ["hidden"], [("eigencam", "hidden")]),
    ],
)
def test_entries_and_their_order(methods, layers, keys):
    with tf.Graph().as_default():
        maps = maps_of(TINY.tensors(), methods, layers)
    assert list(maps) == keys
    assert all(op.shape.as_list()[1:] == [4, 5] for op in maps.values())


@pytest.mark.parametrize("alpha, semantics", [(3.0, "kernel"), (2.0, "exact")])
def test_dgl_has_the_settings_of_the_run_or_its_own(alpha, semantics):
    """Against the closed form, beside all other methods, whose passes it shares."""
    maps = TINY.maps([*METHODS, *VARIANTS], alpha=alpha, semantics=semantics)
    for name, (own_alpha, own) in {"dgl": (alpha, semantics), **VARIANTS}.items():
        expected = TINY.dgl(own_alpha, own or semantics)
        found = maps[name, "activation"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12, err_msg=name)


def test_a_batch_is_its_images_each_with_its_own_class():
    methods = [*METHODS, "dgl(pa=0.1)", "dgl(pa=0.1,exact)"]
    with tf.Graph().as_default(), tf.Session() as session:
        t = TINY.tensors()
        target = tf.placeholder(tf.int32, [None])
        maps = maps_of(t, methods, class_index=target, image_size=8)

        def run(classes, images=slice(None)):
            return session.run(maps, {t.activation: TINY.activation[images], target: classes})

        batch, first, second = (run(classes) for classes in (CLASS_INDEX, [0] * N, [1] * N))
        singles = [run(CLASS_INDEX[i : i + 1], slice(i, i + 1)) for i in range(N)]
    assert len(batch) == 2 * len(methods) - 3
    for key, found in batch.items():
        single = np.concatenate([one[key] for one in singles])
        np.testing.assert_allclose(found, single, rtol=0, atol=1e-12, err_msg=str(key))
        follows = key[0] not in ("eigencam", "center", "foreground")
        assert (np.abs(first[key] - second[key]).max((1, 2)).min() > 1e-6) == follows, key


def backward_passes(methods, layers=LAYERS, **settings):
    """Convolutions that gradients flow back through; each pass has one."""
    with tf.Graph().as_default() as graph:
        maps_of(TINY.tensors(), methods, layers, **settings)
        return Counter(op.type for op in graph.get_operations())["Conv2DBackpropInput"]


BY_CLASS = "gradcam gradcam++ xgradcam layercam hirescam dgl-pcs dgl-no-loss".split()


@pytest.mark.parametrize(
    "methods, passes, at_infinity",
    [
        (["cam", "eigencam", "center"], 0, 0),
        (BY_CLASS, 1, 1),
        ([*METHODS], 2, 1),
        (["dgl-no-class(pa=2,exact)", "dgl-no-class(pa=3,exact)"], 1, 1),
        ([*METHODS, *VARIANTS, "dgl-no-class(pa=3)"], 3, 2),
    ],
)
def test_methods_and_layers_share_the_backward_passes(methods, passes, at_infinity):
    assert backward_passes(methods) == passes
    assert backward_passes(methods, ["activation"]) == passes
    assert backward_passes(methods, []) == 0
    assert backward_passes(methods, alpha=INF) == at_infinity
