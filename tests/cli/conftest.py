"""Tiny checkpoints, data and images, shared by the tests of the command."""

import os

import pytest
from cli_runs import write_data
from demo_runs import small_image, write_vgg
from PIL import Image
from sample_images import blob_image

from dgl.cli import localize_images
from dgl.predict import predictor as predictor_module
from dgl.predict.predictor import predictor_of


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data_set"))


@pytest.fixture(scope="session")
def photos(data):
    """A folder of five images, val0.jpg to val4.jpg."""
    return os.path.join(data, "val")


@pytest.fixture(scope="session")
def vgg(tmp_path_factory):
    return write_vgg(tmp_path_factory.mktemp("vgg"))


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("photo") / "photo.png")
    Image.fromarray(small_image()).save(path)
    return path


@pytest.fixture(scope="session")
def seven(tmp_path_factory):
    """A folder of seven images, p0.png to p6.png, of different sizes."""
    folder = tmp_path_factory.mktemp("seven")
    for seed in range(7):
        image = blob_image(seed)[:: 2 + seed % 3, :: 2 + seed % 2]
        Image.fromarray(image).save(str(folder / f"p{seed}.png"))
    return folder


@pytest.fixture(scope="module")
def predictors():
    """Predictors by what they were made of, for :func:`graphs_once`."""
    made = {}
    yield made
    for predictor in made.values():
        type(predictor).close(predictor)


@pytest.fixture
def graphs_once(predictors, monkeypatch):
    """Runs of a command with the same network and flags share a predictor: building its graph is most
    of their time."""

    def shared(foreign=None, **settings):
        kernels, load = os.environ.get("TF_ENABLE_ONEDNN_OPTS"), settings["load"]
        written = os.path.isfile(load) and os.stat(load).st_mtime_ns  # a file may be written anew
        key = repr((foreign, sorted(settings.items()), kernels, written))
        if key not in predictors:
            predictors[key] = predictor_of(foreign, **settings)
            predictors[key].close = lambda: None
        return predictors[key]

    monkeypatch.setattr(localize_images, "predictor_of", shared)
    monkeypatch.setattr(predictor_module, "predictor_of", shared)
