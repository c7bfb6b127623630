"""The usual preprocessings, against Keras' own and against numbers of the publications."""

import numpy as np
import pytest

from dgl.foreign.preprocessing import PREPROCESSINGS

IMAGES = np.random.RandomState(0).randint(0, 256, (2, 5, 4, 3)).astype("uint8")


@pytest.mark.parametrize("name", ["tf", "torch", "caffe"])
def test_as_keras_does(name):
    keras = pytest.importorskip("tf_keras.applications.imagenet_utils")
    expected = keras.preprocess_input(IMAGES.astype("float32"), mode=name)
    found = PREPROCESSINGS[name](IMAGES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "name, black, white", [("none", 0, 255), ("bgr", 0, 255), ("unit", 0, 1), ("tf", -1, 1)]
)
def test_black_and_white(name, black, white):
    found = PREPROCESSINGS[name](np.array([[[[0, 0, 0], [255, 255, 255]]]], "uint8"))
    assert found[0, 0, 0].tolist() == [black] * 3 and found[0, 0, 1].tolist() == [white] * 3


def test_channels_are_turned_and_what_is_given_stays():
    assert np.array_equal(PREPROCESSINGS["bgr"](IMAGES), IMAGES[..., ::-1])
    for preprocess in PREPROCESSINGS.values():
        images = IMAGES.astype("float32")
        preprocess(images)
        assert np.array_equal(images, IMAGES)
