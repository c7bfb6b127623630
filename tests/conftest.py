"""Shared fixtures. Slow tests run last, but in several processes first, so that none waits at the end."""

import os
import sys

import pytest

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
sys.path.insert(0, TESTS)
sys.path.insert(0, ROOT)


def pytest_configure(config):
    # pytest-xdist's own order has the files of fewest tests, which are the long ones, last.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config, items):
    slow_first = hasattr(config, "workerinput")
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None) == slow_first)


@pytest.fixture(scope="session")
def root():
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real photographs beside the project; skips where it is absent."""
    folder = os.path.join(os.path.dirname(ROOT), "shared", "data")
    if not os.path.isdir(os.path.join(folder, "photos5")):
        pytest.skip("no photographs beside the project")
    return folder


@pytest.fixture
def quick_charts(monkeypatch):
    """Charts of one pixel: drawing them is most of the time that an evaluation's page takes."""
    from matplotlib.figure import Figure
    from PIL import Image

    def save(figure, stream, **options):
        Image.new("RGB", (1, 1)).save(stream, "PNG")

    monkeypatch.setattr(Figure, "savefig", save)
