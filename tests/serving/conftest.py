"""Fixtures for the tests of the page: checkpoints, a server, a browser."""

import re

import pytest
from chromium import CHROMIUM, FLAGS
from demo_runs import write_vgg
from networks import values_of, write_npz
from page_driver import Expected, start, stop
from PIL import Image
from sample_images import blob_image

from dgl.datasets import SHIPPED_CHECKPOINT, sample_images
from dgl.predict.predictor import Predictor
from dgl.weights import ModelCard, write_card

# A harmless warning of Gradio's script after each upload.
_IDLE = "console: Method not implemented."


@pytest.fixture(scope="session")
def small_vgg(tmp_path_factory):
    """Path of a VGG16 of width 1/8 with five named classes, 64 x 64."""
    return write_vgg(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def shipped():
    """Path of the checkpoint that comes with the project."""
    return SHIPPED_CHECKPOINT


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
def open_page(browser):
    """Open a page for a new visitor, and check at the end that nothing went wrong."""
    troubles, contexts, allowed = [], [], []

    def open_new(server, *refusals, **options):
        allowed.extend(refusals)
        options.setdefault("viewport", {"width": 1366, "height": 768})
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(30000)

        def answer(route):
            if route.request.url.startswith((server.url, "data:", "blob:")):
                route.continue_()
            else:
                troubles.append("request: " + route.request.url)
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda message: troubles.append("console: " + message.text))
        page.on("pageerror", lambda error: troubles.append("error: " + str(error)))
        page.goto(server.url)
        page.wait_for_selector("#dgl-one .dgl-three")
        return page

    yield open_new
    for context in contexts:
        context.close()
    troubles = [trouble for trouble in troubles if trouble != _IDLE]
    left = [t for t in troubles if not any(re.search(pattern, t) for pattern in allowed)]
    assert left == []


@pytest.fixture(scope="module")
def direct():
    with Predictor(
        "vgg", SHIPPED_CHECKPOINT, ["all"], ["all"], gpu="-1", adjustable_alpha=True
    ) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("photo") / "my photo.png")
    Image.fromarray(blob_image(3)).save(path)
    return path


@pytest.fixture(scope="module")
def first(direct):
    """What is expected of the sample that the page begins with."""
    return Expected(direct, sample_images()[0])
