"""A small checkpoint of its own, and one set of answers for all tests of the page's logic."""

import pytest
from demo_runs import write_vgg

from dgl.shipped import SHIPPED_CHECKPOINT


@pytest.fixture(scope="session")
def small_vgg(tmp_path_factory):
    """Path of a VGG16 of width 1/8 with five named classes, 64 x 64."""
    return write_vgg(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def shipped():
    """Path of the checkpoint that comes with the project."""
    return SHIPPED_CHECKPOINT
