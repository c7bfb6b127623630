"""The predictor on a small VGG: classes, layers, methods, the model card, runs of its graph, bad input."""

import shutil

import numpy as np
import pytest
from networks import values_of, write_npz
from refusals import check_refusal, refusal
from sample_images import blob_image
from tiny_network import softmax

from dgl.predict import session as session_module
from dgl.predict.predictor import Predictor
from dgl.utils.parallel import threaded_map
from dgl.weights import ModelCard, write_card

SIZE = 64
CLASSES = 5
NAMES = ("crest", "hookbill", "fan", "plume", "cap")
METHODS = ("dgl", "cam", "layercam", "dgl-no-class")
LAYERS = (0, 2, "conv4_3")
IMAGES = np.stack([blob_image(seed)[: 4 * SIZE : 4, : 4 * SIZE : 4] for seed in (1, 2, 3)])
ALPHAS = [0.1, 1.0, 3.7, 10.0, 1000.0, 1e9, float("inf")]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A checkpoint without a card."""
    values = values_of("vgg", SIZE, width=0.125, classes=CLASSES)
    return write_npz(tmp_path_factory.mktemp("weights") / "bare.npz", values)


@pytest.fixture(scope="module")
def birds(path, tmp_path_factory):
    """The same checkpoint with a card."""
    folder = tmp_path_factory.mktemp("birds")
    write_card(str(folder / "birds.json"), ModelCard("vgg", SIZE, NAMES, "birds"))
    return shutil.copy(path, str(folder / "birds.npz"))


def make(path, methods=METHODS, **settings):
    return Predictor("vgg", path, LAYERS, methods, image_size=SIZE, gpu="-1", **settings)


@pytest.fixture(scope="module")
def predictor(birds):
    with Predictor("vgg", birds, layers=(2, "conv4_3", 0), gpu="-1") as made:
        yield made


@pytest.fixture(scope="module")
def plain(path):
    with make(path) as made:
        yield made


@pytest.fixture(scope="module")
def adjustable(path):
    with make(path, adjustable_alpha=True) as made:
        yield made


def same(found, expected, tolerance=0.0):
    """Equal logits and maps, or maps as close as this share of their largest value."""
    assert list(found.maps) == list(expected.maps)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=tolerance, atol=tolerance / 10)
    for entry, wanted in expected.maps.items():
        atol = tolerance * np.abs(wanted).max()
        np.testing.assert_allclose(found.maps[entry], wanted, rtol=0, atol=atol)


def test_what_it_is(predictor, birds, path):
    assert (predictor.classes, predictor.image_size) == (CLASSES, SIZE)
    assert (predictor.options.width, predictor.options.head) == (0.125, "linear")
    layers = ["conv5_2", "conv4_3", "add"]
    assert predictor.entries == [("dgl", layer) for layer in layers] + [("cam", "add")]
    assert [predictor.class_name(i) for i in range(CLASSES + 1)] == [*NAMES, "5"]
    # A layer that is named twice counts once.
    with Predictor("vgg", path, layers=["2", "conv5_2", 2], gpu="-1") as bare:
        assert (bare.card, bare.image_size, bare.class_name(3)) == (None, 224, "3")
        assert bare.entries == [("dgl", "conv5_2"), ("cam", "add")]
    with Predictor("vgg", birds, methods=("cam",), image_size=96, gpu="-1") as own:
        assert own.image_size == 96 and own.entries == [("cam", "add")]
        assert own(np.zeros((1, 96, 96, 3), "uint8")).maps["cam", "add"].shape == (1, 6, 6)


def test_prediction(predictor):
    found = predictor(IMAGES)
    assert found.logits.shape == found.probability.shape == (3, CLASSES)
    np.testing.assert_allclose(found.probability, softmax(found.logits), rtol=0, atol=1e-6)
    for (_, layer), value in found.maps.items():
        side = 8 if layer == "conv4_3" else 4
        assert value.shape == (3, side, side) and value.dtype == np.float32
    np.testing.assert_array_equal(found.class_index, found.logits.argmax(1))
    same(predictor(IMAGES, found.logits.argmax(1)), found)
    same(predictor(IMAGES.astype("float32")), found)


def test_given_classes_decide_each_image_s_map(predictor):
    first = predictor(IMAGES, [0, 1, 2])
    second = predictor(IMAGES, np.array([0, 4, 2]))
    np.testing.assert_array_equal(second.class_index, [0, 4, 2])
    np.testing.assert_array_equal(first.logits, second.logits)
    for key, value in first.maps.items():
        changed = [np.abs(a - b).max() > 1e-6 for a, b in zip(value, second.maps[key])]
        assert changed == [False, True, False], key
    for wrong in (5, -7):
        words = f"class {wrong} is out of range.* 0 to 4"
        check_refusal(words, predictor, IMAGES, np.array([0, wrong, 0]))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mode": "alexnet"}, "--mode alexnet"),
        ({"mode": "resnet50"}, "not a checkpoint of --mode resnet50"),
        ({"load": "gone.npz"}, "--load gone.npz"),
        ({"layers": ("conv9_1",)}, "--clayer conv9_1"),
        ({"methods": ("dgl", "magic")}, "--method magic"),
        ({"norm": "bn"}, "does not fit this network"),
        ({"gpu": "first"}, "--gpu first"),
    ],
)
def test_bad_input(birds, change, message):
    check_refusal(message, Predictor, **{"mode": "vgg", "load": birds, "gpu": "-1", **change})


def test_weights_that_give_no_finite_map(tmp_path):
    values = values_of("vgg", SIZE, width=0.125)
    values["linear/W"] = np.full_like(values["linear/W"], 3e38)  # finite, the logits are not
    path = write_npz(tmp_path / "huge.npz", values)
    with Predictor("vgg", path, gpu="-1", image_size=SIZE) as predictor:
        message = refusal(predictor, IMAGES[:1])
    assert message.startswith(path) and "not finite" in message


def test_an_alpha_for_each_run(path, adjustable):
    """Against a graph that has every alpha in it, and against one that is built with one."""
    classes, exact = [3, 1, 0], "dgl(pa=3.7,exact)"

    def variant(method, alpha):
        return f"{method}(pa={alpha:g})" if "dgl" in method else method

    methods = [variant(method, alpha) for alpha in ALPHAS for method in METHODS]
    with make(path, [*methods, exact]) as every:
        expected = every(IMAGES, classes)

    def check(found, alpha):
        # The same sums; at infinity a pass stands in for one that is left out.
        wanted = {(m, layer): expected.maps[variant(m, alpha), layer] for m, layer in found.maps}
        same(found, expected._replace(maps=wanted), 1e-5)

    for alpha in ALPHAS:
        check(adjustable(IMAGES, classes, alpha=alpha), alpha)
    with make(path, alpha=3.7) as fixed:
        check(fixed(IMAGES, classes), 3.7)
        with pytest.raises(ValueError, match="part of this graph"):
            fixed(IMAGES, alpha=3.0)
    with make(path, ["dgl"], alpha=3.7, semantics="exact") as fixed:
        for (_, layer), raw in fixed(IMAGES, classes).maps.items():
            wanted = expected.maps[exact, layer]
            np.testing.assert_allclose(raw, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    # The alpha of the beginning holds where none is given.
    same(adjustable(IMAGES), adjustable(IMAGES, alpha=10.0))
    with pytest.raises(ValueError, match="alpha"):
        adjustable(IMAGES, alpha=float("nan"))


@pytest.mark.parametrize(
    "entries", [[], [("dgl", "conv5_2")], [["cam", "add"], ("layercam", "add")]]
)
def test_some_maps_only(adjustable, entries):
    some, everything = adjustable(IMAGES, entries=entries), adjustable(IMAGES)
    assert list(some.maps) == [tuple(entry) for entry in entries]
    for entry, raw in some.maps.items():
        np.testing.assert_array_equal(raw, everything.maps[entry])
    np.testing.assert_array_equal(some.logits, everything.logits)
    with pytest.raises(ValueError, match="no map .*gradcam"):
        adjustable(IMAGES, entries=[("gradcam", "add")])


def test_flip_averages_with_the_map_of_the_mirrored_image(path, plain):
    own = plain(IMAGES)
    mirrored = plain(IMAGES[:, :, ::-1], own.class_index)
    with make(path, flip=True) as flipped:
        found = flipped(IMAGES)
    np.testing.assert_array_equal(found.logits, own.logits)
    for entry, raw in found.maps.items():
        expected = (own.maps[entry] + mirrored.maps[entry][:, :, ::-1]) / 2
        np.testing.assert_allclose(raw, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
        assert np.abs(raw - own.maps[entry]).max() > 1e-3 * np.abs(raw).max()


def test_a_batch_in_parts_is_the_batch_at_once(path, plain, monkeypatch):
    many, classes = np.concatenate([IMAGES[:2], IMAGES[:2, ::-1], IMAGES[:1]]), [3, 1, 0, 2, 4]
    # Two images' activations of the three layers fit, those of three do not.
    one = 4 * (4 * 4 * 128 + 4 * 4 * 64 + 8 * 8 * 64)
    monkeypatch.setattr(session_module, "MOST_BYTES", 2 * one + 1)
    with make(path) as parted:
        found, expected = parted(many, classes), plain(many, classes)
    np.testing.assert_array_equal(found.class_index, expected.class_index)
    same(found, expected, 1e-4)


@pytest.mark.parametrize("most_bytes", [2**28, 1])  # side by side, and one after the other
def test_runs_of_several_threads_are_those_of_one(path, monkeypatch, most_bytes):
    monkeypatch.setattr(session_module, "MOST_BYTES", most_bytes)
    with make(path) as predictor:
        batches = [IMAGES, IMAGES[::-1], IMAGES[:1]] * 4
        one_by_one = [predictor(batch) for batch in batches]
        for expected, found in zip(one_by_one, threaded_map(predictor, batches, 4)):
            same(found, expected)
