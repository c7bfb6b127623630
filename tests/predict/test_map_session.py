"""Runs of a graph of maps: some maps only, an alpha for each run, what is refused."""

import numpy as np
import pytest
from networks import values_of, write_npz
from sample_images import blob_image

from dgl.predict import session as session_module
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.utils.parallel import threaded_map

SIZE = 64
METHODS = ("dgl", "cam", "layercam", "dgl-no-class")
LAYERS = (0, 2, "conv4_3")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return write_npz(folder / "bare.npz", values_of("vgg", SIZE, width=0.125, classes=5))


@pytest.fixture(scope="module")
def images():
    return np.stack([blob_image(seed)[: 4 * SIZE : 4, : 4 * SIZE : 4] for seed in (1, 2)])


def make(path, **settings):
    return Predictor("vgg", path, LAYERS, METHODS, image_size=SIZE, gpu="-1", **settings)


@pytest.fixture(scope="module")
def adjustable(path):
    with make(path, adjustable_alpha=True) as predictor:
        yield predictor


@pytest.mark.parametrize("alpha", [0.1, 1.0, 3.7, 10.0, 1000.0, 1e9, float("inf")])
def test_an_alpha_for_each_run_is_that_of_a_graph_of_its_own(path, adjustable, images, alpha):
    found = adjustable(images, [3, 1], alpha=alpha)
    with make(path, alpha=alpha) as fixed:
        expected = fixed(images, [3, 1])
    assert list(found.maps) == list(expected.maps)
    for entry, wanted in expected.maps.items():
        # The same sums; at infinity a pass stands in for one that is left out.
        tolerance = 1e-5 * np.abs(wanted).max()
        np.testing.assert_allclose(found.maps[entry], wanted, rtol=0, atol=tolerance)


def test_alpha_makes_a_difference(adjustable, images):
    entry = ("dgl", "conv4_3")
    small, large = (adjustable(images, [3, 1], [entry], alpha).maps[entry] for alpha in (0.1, 100))
    assert np.abs(small - large).max() > 1e-3 * np.abs(large).max()


def test_without_one_the_alpha_of_the_beginning_holds(adjustable, images):
    default, given = adjustable(images), adjustable(images, alpha=10.0)
    for entry in adjustable.entries:
        np.testing.assert_array_equal(default.maps[entry], given.maps[entry])


@pytest.mark.parametrize(
    "entries", [[], [("dgl", "conv5_2")], [["cam", "add"], ("layercam", "add")]]
)
def test_some_maps_only(adjustable, images, entries):
    some, everything = adjustable(images, entries=entries), adjustable(images)
    assert list(some.maps) == [tuple(entry) for entry in entries]
    for entry, raw in some.maps.items():
        np.testing.assert_array_equal(raw, everything.maps[entry])
    np.testing.assert_array_equal(some.logits, everything.logits)


def test_a_map_that_is_not_there(adjustable, images):
    with pytest.raises(ValueError, match="no map .*gradcam"):
        adjustable(images, entries=[("gradcam", "add")])


def test_flip_averages_with_the_map_of_the_mirrored_image(path, images):
    with make(path) as plain, make(path, flip=True) as flipped:
        found, own = flipped(images), plain(images)
        mirrored = plain(images[:, :, ::-1], own.class_index)
    np.testing.assert_array_equal(found.logits, own.logits)
    for entry, raw in found.maps.items():
        expected = (own.maps[entry] + mirrored.maps[entry][:, :, ::-1]) / 2
        np.testing.assert_allclose(raw, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
        assert np.abs(raw - own.maps[entry]).max() > 1e-3 * np.abs(raw).max()


@pytest.mark.parametrize("alpha", [0.0, -1.0, 2e9, float("nan")])
def test_alpha_out_of_range(adjustable, images, alpha):
    with pytest.raises(ValueError, match="alpha"):
        adjustable(images, alpha=alpha)


def test_alpha_that_is_part_of_the_graph(path, images):
    with make(path) as fixed, pytest.raises(ValueError, match="part of this graph"):
        fixed(images, alpha=3.0)


def test_a_batch_in_parts_is_the_batch_at_once(path, images, monkeypatch):
    many = np.concatenate([images, images[:, ::-1], images[:1]])
    with make(path) as whole:
        expected = whole(many, [3, 1, 0, 2, 4])
    # Two images' activations of the three layers fit, those of three do not.
    one = 4 * (4 * 4 * 128 + 4 * 4 * 64 + 8 * 8 * 64)
    monkeypatch.setattr(session_module, "MOST_BYTES", 2 * one + 1)
    with make(path) as parted:
        found = parted(many, [3, 1, 0, 2, 4])
    np.testing.assert_array_equal(found.class_index, expected.class_index)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    for entry, wanted in expected.maps.items():
        np.testing.assert_allclose(
            found.maps[entry], wanted, rtol=0, atol=1e-4 * np.abs(wanted).max()
        )


def test_how_many_images_fit():
    with tf.Graph().as_default():
        layers = [tf.placeholder(tf.float32, [None, 64, 64, c]) for c in (1024, 2048)]
        assert session_module.images_at_once(layers) == 2**28 // (4 * 64 * 64 * 3072)
        assert (
            session_module.images_at_once([tf.placeholder(tf.float32, [None, 2**15, 2**15, 3])])
            == 1
        )
        assert (
            session_module.images_at_once([tf.placeholder(tf.float32, [None, None, 64, 3])]) is None
        )


@pytest.mark.parametrize("most_bytes", [2**28, 1])  # side by side, and one after the other
def test_runs_of_several_threads_are_those_of_one(path, images, monkeypatch, most_bytes):
    monkeypatch.setattr(session_module, "MOST_BYTES", most_bytes)
    with make(path) as predictor:
        batches = [images, images[::-1], images[:1]] * 4
        one_by_one = [predictor(batch) for batch in batches]
        for expected, found in zip(one_by_one, threaded_map(predictor, batches, 4)):
            np.testing.assert_array_equal(found.logits, expected.logits)
            for entry, raw in expected.maps.items():
                np.testing.assert_array_equal(found.maps[entry], raw)
