"""Tiny checkpoints, data and images, shared by the tests of the command."""

import os

import pytest
from cli_runs import write_checkpoint, write_data
from demo_runs import write_photo, write_vgg
from PIL import Image
from sample_images import blob_image


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("tiny"))


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
    return write_photo(tmp_path_factory.mktemp("photo"))


@pytest.fixture(scope="session")
def seven(tmp_path_factory):
    """A folder of seven images, p0.png to p6.png, of different sizes."""
    folder = tmp_path_factory.mktemp("seven")
    for seed in range(7):
        image = blob_image(seed)[:: 2 + seed % 3, :: 2 + seed % 2]
        Image.fromarray(image).save(str(folder / f"p{seed}.png"))
    return folder
