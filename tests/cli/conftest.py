"""A tiny checkpoint, data and images, shared by the tests of the command."""

import os

import pytest
from cli_runs import write_checkpoint, write_data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data_set"))


@pytest.fixture(scope="session")
def photos(data):
    return os.path.join(data, "val")
