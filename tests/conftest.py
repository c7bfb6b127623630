"""Shared fixtures. Slow tests run last, but in several processes first, so that none waits at the end."""

import gc
import os
import sys

import pytest

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
sys.path.insert(0, TESTS)
sys.path.insert(0, ROOT)

# TensorFlow makes many objects that live long: collecting as often as usual takes a tenth of the time.
gc.set_threshold(50000, 20, 50)


def pytest_configure(config):
    # pytest-xdist's own order has the files of fewest tests, which are the long ones, last.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


# What make test-fast leaves out beside the tests marked slow: rooms of what surrounds the package, and
# every network but VGG16, whose graphs take seconds to build.
SLOW_ROOMS = ("benchmarks", "docs", "examples", "properties", "robustness")
SLOW_NETWORKS = ("resnet", "inception", "efficientnet")


def is_slow(item):
    """Whether a test's room or one of its parameters, or the first part of one, is among the slow ones."""
    if os.path.relpath(str(item.fspath), TESTS).split(os.sep)[0] in SLOW_ROOMS:
        return True
    values = getattr(item, "callspec", None) and item.callspec.params.values()
    firsts = [value[0] if isinstance(value, tuple) and value else value for value in values or ()]
    return any(isinstance(value, str) and value.startswith(SLOW_NETWORKS) for value in firsts)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in filter(is_slow, items):
        item.add_marker("slow")
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
