"""Fixtures for the tests of the page: checkpoints, a server, a browser."""

import re

import pytest
from chromium import CHROMIUM, FLAGS
from demo_runs import write_vgg
from networks import values_of, write_npz
from page_driver import THREE, Expected, Page, start, stop
from PIL import Image
from sample_images import blob_image

from dgl.datasets import SHIPPED_CHECKPOINT, sample_images
from dgl.predict.predictor import Predictor
from dgl.weights import ModelCard, write_card


@pytest.fixture(scope="session")
def small_vgg(tmp_path_factory):
    """Path of a VGG16 of width 1/8 with five named classes, 64 x 64."""
    return write_vgg(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def small_resnet(tmp_path_factory):
    """Path of a ResNet50 of width 1/16."""
    folder = tmp_path_factory.mktemp("resnet")
    path = write_npz(folder / "resnet.npz", values_of("resnet50", 64, width=0.0625))
    write_card(str(folder / "resnet.json"), ModelCard("resnet50", 64))
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory, small_vgg, small_resnet):
    flags = ["--max-megabytes", 2, "--max-megapixels", 1]
    flags += ["--load", SHIPPED_CHECKPOINT, small_vgg, small_resnet]
    server = start(tmp_path_factory.mktemp("server"), *flags)
    yield server
    stop(server)


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_tab(browser):
    """Open an address for a new visitor. Requests to other servers and what the console says fail the test
    at its end, but for the patterns that are given."""
    troubles, contexts, allowed = [], [], []

    def open_new(url, *patterns, **options):
        allowed.extend(patterns)
        options.setdefault("viewport", {"width": 1366, "height": 768})
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(30000)
        page = contexts[-1].new_page()

        def requested(request):
            if not request.url.startswith((url, "data:", "blob:")):
                troubles.append("request: " + request.url)

        page.on("request", requested)
        page.on("console", lambda message: troubles.append("console: " + message.text))
        page.on("pageerror", lambda error: troubles.append("error: " + str(error)))
        page.goto(url)
        return page

    yield open_new
    for context in contexts:
        context.close()
    assert [t for t in troubles if not any(re.search(pattern, t) for pattern in allowed)] == []


@pytest.fixture
def open_page(open_tab):
    """Open the page of `dgl serve` for a new visitor."""

    def open_new(server, *patterns, **options):
        # A harmless warning of Gradio's script after each upload.
        idle = r"^console: Method not implemented\.$"
        page = Page(open_tab(server.url, idle, *patterns, **options))
        page.wait_for_selector(THREE)
        return page

    return open_new


@pytest.fixture(scope="module")
def direct():
    settings = {"gpu": "-1", "adjustable_alpha": True}
    with Predictor("vgg", SHIPPED_CHECKPOINT, ["all"], ["all"], **settings) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """An image whose name would run a script where it is not taken as text."""
    name = "my photo<img src=x onerror='window.hacked=1'>.png"
    path = str(tmp_path_factory.mktemp("photo") / name)
    Image.fromarray(blob_image(3)).save(path)
    return path


@pytest.fixture(scope="module")
def first(direct):
    """What is expected of the sample that the page begins with."""
    return Expected(direct, sample_images()[0])
