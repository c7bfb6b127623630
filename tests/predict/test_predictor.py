"""The predictor on a small VGG: classes, layers, methods, the model card, bad input."""

import numpy as np
import pytest
from networks import values_of, write_npz
from sample_images import blob_image

from dgl.errors import UserError
from dgl.predict.predictor import Predictor
from dgl.weights import ModelCard, write_card

SIZE = 64
CLASSES = 5
NAMES = ("crest", "hookbill", "fan", "plume", "cap")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds a checkpoint with a card (birds) and one without (bare)."""
    folder = tmp_path_factory.mktemp("weights")
    values = values_of("vgg", SIZE, width=0.125, classes=CLASSES)
    write_npz(folder / "birds.npz", values)
    write_card(str(folder / "birds.json"), ModelCard("vgg", SIZE, NAMES, "birds"))
    write_npz(folder / "bare.npz", values)
    return folder


@pytest.fixture(scope="module")
def predictor(folder):
    with Predictor("vgg", str(folder / "birds.npz"), layers=(2, "conv4_3", 0), gpu="-1") as made:
        yield made


@pytest.fixture(scope="module")
def images():
    return np.stack([blob_image(seed)[: 4 * SIZE : 4, : 4 * SIZE : 4] for seed in (1, 2, 3)])


def test_what_it_is(predictor):
    assert predictor.classes == CLASSES
    assert predictor.image_size == SIZE
    assert (predictor.options.width, predictor.options.head) == (0.125, "linear")
    assert predictor.entries == [
        ("dgl", "conv5_2"),
        ("dgl", "conv4_3"),
        ("dgl", "add"),
        ("cam", "add"),
    ]


def test_prediction(predictor, images):
    found = predictor(images)
    assert found.logits.shape == found.probability.shape == (3, CLASSES)
    shifted = np.exp(found.logits - found.logits.max(1, keepdims=True))
    expected = shifted / shifted.sum(1, keepdims=True)
    np.testing.assert_allclose(found.probability, expected, rtol=0, atol=1e-6)
    assert {key: value.shape for key, value in found.maps.items()} == {
        ("dgl", "conv5_2"): (3, 4, 4),
        ("dgl", "conv4_3"): (3, 8, 8),
        ("dgl", "add"): (3, 4, 4),
        ("cam", "add"): (3, 4, 4),
    }
    assert all(value.dtype == np.float32 for value in found.maps.values())


def test_without_a_class_the_arg_max_is_taken(predictor, images):
    free = predictor(images)
    np.testing.assert_array_equal(free.class_index, free.logits.argmax(1))
    given = predictor(images, free.logits.argmax(1))
    for key, value in free.maps.items():
        np.testing.assert_array_equal(value, given.maps[key])


def test_given_classes_decide_each_image_s_map(predictor, images):
    first = predictor(images, [0, 1, 2])
    second = predictor(images, np.array([0, 4, 2]))
    np.testing.assert_array_equal(second.class_index, [0, 4, 2])
    np.testing.assert_array_equal(first.logits, second.logits)
    for key, value in first.maps.items():
        changed = [np.abs(a - b).max() > 1e-6 for a, b in zip(value, second.maps[key])]
        assert changed == [False, True, False], key


@pytest.mark.parametrize("class_index", [[0, 0, 5], [-1, 0, 0], [0, 1000, 0], np.array([0, 0, -7])])
def test_class_out_of_range(predictor, images, class_index):
    wrong = next(c for c in class_index if not 0 <= c < CLASSES)
    with pytest.raises(UserError) as caught:
        predictor(images, class_index)
    assert f"class {wrong} is out of range" in str(caught.value)
    assert "0 to 4" in str(caught.value)


def test_uint8_and_float32_images_are_the_same(predictor, images):
    np.testing.assert_array_equal(
        predictor(images).logits, predictor(images.astype("float32")).logits
    )


def test_class_names_come_from_the_card(predictor):
    assert [predictor.class_name(i) for i in range(CLASSES)] == list(NAMES)
    assert predictor.class_name(CLASSES) == "5"


@pytest.fixture(scope="module")
def bare(folder):
    with Predictor("vgg", str(folder / "bare.npz"), layers=["2", "conv5_2", 2], gpu="-1") as made:
        yield made


def test_without_a_card(bare):
    assert bare.card is None
    assert bare.image_size == 224
    assert bare.class_name(3) == "3"


def test_a_layer_named_twice_is_one_map(bare):
    assert bare.entries == [("dgl", "conv5_2"), ("cam", "add")]


def test_own_size_goes_before_the_card_s(folder):
    path = str(folder / "birds.npz")
    with Predictor("vgg", path, methods=("cam",), image_size=96, gpu="-1") as made:
        assert made.image_size == 96
        assert made.entries == [("cam", "add")]
        assert made(np.zeros((1, 96, 96, 3), "uint8")).maps["cam", "add"].shape == (1, 6, 6)


def test_card_s_last_stride_is_used(tmp_path):
    path = write_npz(tmp_path / "a.npz", values_of("resnet50", 32, width=0.0625))
    write_card(str(tmp_path / "a.json"), ModelCard("resnet50", SIZE, last_stride=2))
    with Predictor("resnet50", path, methods=("cam",), gpu="-1") as made:
        shape = made(np.zeros((1, SIZE, SIZE, 3), "uint8")).maps["cam", made.entries[0][1]].shape
    assert shape == (1, 4, 4)


@pytest.mark.parametrize("alpha, semantics", [(1.0, "kernel"), (10.0, "exact")])
def test_alpha_and_semantics_reach_the_map(folder, predictor, images, alpha, semantics):
    published = predictor(images, [0, 1, 2])
    path = str(folder / "birds.npz")
    with Predictor("vgg", path, alpha=alpha, semantics=semantics, gpu="-1") as made:
        other = made(images, [0, 1, 2])
    key = ("dgl", "conv5_2")
    assert np.abs(published.maps[key] - other.maps[key]).max() > 1e-3 * np.ptp(other.maps[key])
    np.testing.assert_array_equal(published.maps["cam", "add"], other.maps["cam", "add"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mode": "alexnet"}, "--mode alexnet"),
        ({"mode": "resnet50"}, "not a checkpoint of --mode resnet50"),
        ({"load": "gone.npz"}, "--load gone.npz"),
        ({"layers": ("conv9_1",)}, "--clayer conv9_1"),
        ({"methods": ("dgl", "magic")}, "--method magic"),
        ({"width": 0.25}, "does not fit this network"),
        ({"norm": "bn"}, "does not fit this network"),
        ({"gpu": "first"}, "--gpu first"),
    ],
)
def test_bad_input(folder, change, message):
    arguments = dict({"mode": "vgg", "load": str(folder / "birds.npz"), "gpu": "-1"}, **change)
    with pytest.raises(UserError, match=message):
        Predictor(**arguments)


def test_weights_that_give_no_finite_map(tmp_path):
    values = values_of("vgg", SIZE, width=0.125)
    values["linear/W"] = np.full_like(values["linear/W"], 3e38)  # finite, the logits are not
    path = write_npz(tmp_path / "huge.npz", values)
    predictor = Predictor("vgg", path, gpu="-1", image_size=SIZE)
    with predictor, pytest.raises(UserError) as caught:
        predictor(blob_image()[np.newaxis, :SIZE, :SIZE])
    assert str(caught.value).startswith(path) and "not finite" in str(caught.value)
