"""TF-slim's Inception-V3: the converted file computes what the published one does on its own input."""

import numpy as np
import pytest
from networks import write_tensorflow
from numpy_forward import inception, preprocess
from published_files import assert_close, padded, published_part, random_image, run, slim

from dgl.weights import open_checkpoint
from dgl.weights.convert import convert

HALF = (127.5, 127.5, 127.5)


@pytest.fixture(scope="module")
def published():
    return slim()


@pytest.fixture(scope="module")
def converted(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slim")
    path = write_tensorflow(folder / "inception_v3.ckpt", published, version=1)
    done = convert(path, str(folder / "inception_v3.npz"))
    return done, open_checkpoint(done.out)


@pytest.mark.slow
def test_what_is_kept(converted):
    done, checkpoint = converted
    expected = published_part("inceptionv3")
    assert set(checkpoint.shapes) == set(expected)
    assert (done.written, done.left_out) == (len(expected), 5)
    for name, array in expected.items():
        if "Conv2d_1a_3x3" not in name or "Mixed" in name:
            np.testing.assert_array_equal(checkpoint.read(name), array)


@pytest.mark.slow
def test_it_computes_the_same(converted, published):
    _, checkpoint = converted
    image = random_image()
    names = ["Conv2d_1a_3x3", "Mixed_5c", "Mixed_6a", "Mixed_6e"]
    found = run("inceptionv3", checkpoint, image, names)
    points = inception(preprocess(padded(image, 2), "rgb", HALF, HALF), published, "VALID")
    for name, array in zip(names, found):
        assert_close(array, points[name])
    # Zero padding makes a difference, at the border only.
    points = inception(preprocess(image, "rgb", HALF, HALF), published)
    off = np.abs(found[0] - points["Conv2d_1a_3x3"]) / points["Conv2d_1a_3x3"].max()
    assert off[:, :-1, :-1].max() < 1e-6 < off.max()
    # docs/weights.md states these.
    assert off.max() < 0.2
    assert np.abs(found[3] - points["Mixed_6e"]).max() < 0.1 * points["Mixed_6e"].max()
