"""The page in a real browser: every control, downloads against a direct run, bad files, two visitors.

Needs Gradio, Playwright and a Chromium on this machine, and is skipped without. Every request beyond the
server itself, every error on the console and every failed answer fails the test.
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
from chromium import CHROMIUM, FLAGS
from deterministic import picture
from PIL import Image
from small_network import values_of, write_npz

from dgl.backbones import get_backbone
from dgl.boxes import iou, largest_box, normalise, resize_map
from dgl.data.image_io import read_image
from dgl.data.views import demo_input
from dgl.predictor import Predictor
from dgl.shipped import SHIPPED_CHECKPOINT, sample_pictures
from dgl.weights import ModelCard, write_card

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
# What Gradio's own script warns of after each upload, and which changes nothing.
_IDLE = "console: Method not implemented."
Server = namedtuple("Server", "process url folder")


def start(folder, *flags):
    """A server of its own process, whose temporary files go to ``folder``."""
    command = [sys.executable, "-m", "dgl.cli", "serve", "--port", "0", "--gpu", "-1"]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    process = subprocess.Popen(
        command + [str(flag) for flag in flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        cwd=root,
        env=dict(os.environ, TMPDIR=str(folder)),
    )
    said = []
    for line in process.stdout:
        said.append(line)
        match = re.match(r"page: (http://127\.0\.0\.1:\d+/)", line)
        if match:
            return Server(process, match.group(1), str(folder))
    raise AssertionError("".join(said))


def stop(server, number=signal.SIGTERM):
    """(exit code, what was printed to the end); a server that does not end is killed."""
    server.process.send_signal(number)
    try:
        rest, _ = server.process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise
    return server.process.returncode, rest


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
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens a page for a new visitor, and checks at the end that nothing went wrong."""
    troubles, contexts, allowed = [], [], []

    def open_page(server, *refusals, **options):
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

    yield open_page
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
    Image.fromarray(picture(3)).save(path)
    return path


class Expected(object):
    """Maps and boxes of a picture by a direct run of the predictor."""

    def __init__(self, predictor, path):
        self._predictor = predictor
        self.image = read_image(path)
        self._view = demo_input(self.image, predictor.image_size)[np.newaxis]

    def run(self, method="dgl", layer="conv5_2", class_index=None, alpha=10.0):
        wanted = None if class_index is None else [class_index]
        return self._predictor(self._view, wanted, entries=[(method, layer)], alpha=alpha)

    def map(self, method="dgl", layer="conv5_2", class_index=None, alpha=10.0):
        return self.run(method, layer, class_index, alpha).maps[method, layer][0]

    def box(self, threshold=0.2, **settings):
        score_map = resize_map(normalise(self.map(**settings)), *self.image.shape[:2])
        return largest_box(score_map, threshold)


@pytest.fixture(scope="module")
def first(direct):
    """What is expected of the sample that the page begins with."""
    return Expected(direct, sample_pictures()[0])


def data(page, name, selector="#dgl-one .dgl-three"):
    return page.get_attribute(selector, "data-" + name)


def numbers(text):
    return [int(v) for v in text.split()]


def wait_until_other(page, name, old, selector="#dgl-one .dgl-three"):
    """Wait until the page shows something else than ``old``; returns it."""
    page.wait_for_function(
        "([selector, name, old]) => {"
        " const found = document.querySelector(selector);"
        " return found && found.getAttribute('data-' + name) !== old; }",
        arg=[selector, name, old],
    )
    return data(page, name, selector)


def slide(page, title, value):
    page.get_by_label("range slider for " + title, exact=True).fill(str(value))


def choose(page, label, text):
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=text, exact=True).click()


def upload(page, *paths):
    page.set_input_files("#dgl-upload input[type=file]", list(paths))


def check_box(page, expected, selector="#dgl-one .dgl-three"):
    """The box shown is the direct run's. What kernels round otherwise moves it by a pixel at most."""
    assert np.abs(np.subtract(numbers(data(page, "box", selector)), expected)).max() <= 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1366, 768), (390, 844)])
def test_it_begins_with_a_sample_and_fits(visit, server, first, scheme, width, height):
    viewport = {"width": width, "height": height}
    page = visit(server, viewport=viewport, color_scheme=scheme)
    check_box(page, first.box())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in page.query_selector_all("img"):
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    if width > 1000:  # the pictures and every control without scrolling
        for selector in ("#dgl-one .dgl-three", "#dgl-controls", "#dgl-upload", ".dgl-samples"):
            box = page.query_selector(selector).bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= height, selector


def test_upload(visit, server, direct, photo):
    page = visit(server)
    old = data(page, "box")
    upload(page, photo)
    wait_until_other(page, "box", old)
    check_box(page, Expected(direct, photo).box())
    assert "my photo.png" in page.inner_text("#dgl-facts")
    assert page.is_visible("#dgl-upload [data-testid=upload-text]")  # ready for the next one


def test_a_sample(visit, server, direct):
    page = visit(server)
    old = data(page, "box")
    page.click(".dgl-samples button >> nth=3")
    wait_until_other(page, "box", old)
    check_box(page, Expected(direct, sample_pictures()[3]).box())
    assert os.path.basename(sample_pictures()[3]) in page.inner_text("#dgl-facts")


def test_layers_by_slider(visit, server, first):
    page = visit(server)
    for index, layer in ((4, "pool4"), (0, "add"), (17, "conv1_1")):
        old = data(page, "layer")
        slide(page, "layer", index)
        assert wait_until_other(page, "layer", old) == layer
        assert page.inner_text("#dgl-layer output") == layer
        check_box(page, first.box(layer=layer))
    runs = data(page, "runs")
    slide(page, "layer", 4)
    wait_until_other(page, "layer", "conv1_1")
    assert data(page, "runs") == runs  # was there already


def test_methods(visit, server, first):
    page = visit(server)
    for title, method, layer in (("Grad-CAM++", "gradcam++", "conv5_2"), ("CAM", "cam", "add")):
        old = data(page, "method")
        choose(page, "method", title)
        assert wait_until_other(page, "method", old) == method
        assert data(page, "layer") == layer
        check_box(page, first.box(method=method, layer=layer))


def test_classes(visit, server, first):
    page = visit(server)
    names = page.query_selector_all("#dgl-classes button span")
    probability = first.run().probability[0]
    order = np.argsort(-probability)[:5]
    assert len(names) == 5
    shown = page.query_selector_all("#dgl-classes button output")
    for element, index in zip(shown, order):
        share = float(element.inner_text().strip("<> %"))
        assert share == pytest.approx(100 * probability[index], abs=0.1)
    old = data(page, "runs")
    page.click("#dgl-classes button >> nth=1")
    old = wait_until_other(page, "runs", old)
    assert page.get_attribute("#dgl-classes button >> nth=1", "aria-pressed") == "true"
    check_box(page, first.box(class_index=int(order[1])))
    page.get_by_label("another class, by number or name").fill("golden cap")
    page.keyboard.press("Enter")
    wait_until_other(page, "runs", old)
    assert "Golden Cap (1)" in page.inner_text("#dgl-facts")
    check_box(page, first.box(class_index=1))


def test_alpha(visit, server, first):
    page = visit(server)
    for position, alpha, text in ((0, 0.1, "0.1"), (41, float("inf"), "\u221e")):
        old = data(page, "runs")
        slide(page, "alpha", position)
        wait_until_other(page, "runs", old)
        assert page.inner_text("#dgl-alpha output") == text
        check_box(page, first.box(alpha=alpha))


def test_the_threshold_runs_no_network(visit, server, first):
    page = visit(server)
    runs = data(page, "runs")
    for threshold in (0.5, 0.8, 0.05):
        old = data(page, "box")
        slide(page, "threshold", threshold)
        wait_until_other(page, "box", old)
        check_box(page, first.box(threshold=threshold))
        assert "without the network" in page.inner_text("#dgl-status")
        assert float(page.inner_text("#dgl-threshold output")) == threshold
    assert data(page, "runs") == runs


def test_all_layers(visit, server, first):
    page = visit(server)
    page.get_by_role("tab", name="All layers").click()
    page.wait_for_selector("#dgl-all button")
    assert len(page.query_selector_all("#dgl-all button")) == 18
    for index, layer in ((0, "add"), (4, "pool4")):
        check_box(page, first.box(layer=layer), "#dgl-all [data-layer='{}']".format(index))
    page.click("#dgl-all button[data-layer='4']")
    wait_until_other(page, "layer", "conv5_2")
    page.wait_for_selector("#dgl-one .dgl-three", state="visible")
    check_layer(page, 4, "pool4")


def test_two_methods(visit, server, first):
    page = visit(server)
    selector = "#dgl-two .dgl-three"
    page.get_by_role("tab", name="Two methods").click()
    page.wait_for_selector(selector)
    for title, entry in (
        (None, ("cam", "add")),
        ("LayerCAM", ("layercam", "conv5_2")),
    ):
        old = data(page, "iou", selector)
        if title:
            choose(page, "method of B", title)
            wait_until_other(page, "iou", old, selector)
        boxes = [numbers(box) for box in data(page, "boxes", selector).split(";")]
        expected = [first.box(), first.box(method=entry[0], layer=entry[1])]
        assert np.abs(np.subtract(boxes, expected)).max() <= 1
        shown = float(data(page, "iou", selector))
        assert shown == pytest.approx(iou(boxes[0], boxes[1])[0, 0], abs=1e-6)
        assert "{:.3f}".format(shown) in page.inner_text(selector)
    old = data(page, "boxes", selector)
    slide(page, "layer of B", 4)
    boxes = wait_until_other(page, "boxes", old, selector).split(";")
    expected = first.box(method="layercam", layer="pool4")
    assert np.abs(np.subtract(numbers(boxes[1]), expected)).max() <= 1


def test_downloads(visit, server, first, tmp_path):
    page = visit(server)
    old = data(page, "layer")
    slide(page, "layer", 4)
    wait_until_other(page, "layer", old)
    old = data(page, "box")
    slide(page, "threshold", 0.4)
    wait_until_other(page, "box", old)
    files = {}
    for kind in ("png", "json", "npy"):
        with page.expect_download() as download:
            page.click("#dgl-" + kind)
        assert download.value.suggested_filename == "bird_crimson_crest_vgg_pool4_dgl." + kind
        files[kind] = str(tmp_path / ("file." + kind))
        download.value.save_as(files[kind])
    raw = first.map(layer="pool4")
    # The same arithmetic, but other kernels where weights are no constants: a ReLU may switch.
    np.testing.assert_allclose(
        np.load(files["npy"], allow_pickle=False), raw, rtol=0, atol=1e-3 * np.abs(raw).max()
    )
    with open(files["json"]) as stream:
        record = json.load(stream)
    assert record["box"] == numbers(data(page, "box"))
    assert np.abs(np.subtract(record["box"], first.box(0.4, layer="pool4"))).max() <= 1
    assert record["probability"] == pytest.approx(float(first.run().probability.max()), abs=1e-4)
    assert (record["layer"], record["threshold"], record["alpha"]) == ("pool4", 0.4, 10.0)
    with Image.open(files["png"]) as image:
        assert image.size == first.image.shape[1::-1] == (record["width"], record["height"])
        red = np.asarray(image)[(record["box"][1] + record["box"][3]) // 2, record["box"][0]]
    assert red.tolist() == [255, 56, 56]  # the box is drawn


def png(image):
    """The bytes of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("note.png", b"no picture", "note.png: not a picture"),
        (
            "half.png",
            png(Image.fromarray(picture(3)))[:-1000],
            "half.png: damaged or truncated picture",
        ),
        (
            "large.png",
            png(Image.new("RGB", (1001, 1000))),
            "large.png: 1001 x 1000 pixels; expected at most 1 megapixels",
        ),
    ],
)
def test_a_bad_file_is_one_line_and_the_page_goes_on(
    visit, server, tmp_path, name, content, message
):
    page = visit(server)
    (tmp_path / name).write_bytes(content)
    before = data(page, "box")
    upload(page, str(tmp_path / name))
    page.wait_for_selector("#dgl-status .dgl-error")
    assert message in page.inner_text("#dgl-status")
    assert data(page, "box") == before
    page.click(".dgl-samples button >> nth=2")
    wait_until_other(page, "box", before)
    assert page.query_selector("#dgl-status .dgl-error") is None


@pytest.mark.parametrize(
    "name, size, message",
    [
        ("note.txt", 100, r"[Ii]nvalid file type"),
        ("big.png", 2100000, r"exceed the maximum allowed size of 1.9 Mb"),
    ],
)
def test_what_the_browser_refuses(visit, server, tmp_path, name, size, message):
    page = visit(server, r"413", message)
    (tmp_path / name).write_bytes(b"x" * size)
    before = data(page, "box")
    upload(page, str(tmp_path / name))
    page.wait_for_selector("[data-testid=toast-body]")
    assert re.search(message, page.inner_text("[data-testid=toast-body]"))
    page.click(".dgl-samples button >> nth=2")
    wait_until_other(page, "box", before)


def test_a_hostile_name_is_text(visit, server, direct, tmp_path):
    page = visit(server)
    path = str(tmp_path / "<img src=x onerror='window.hacked=1'>.png")
    Image.fromarray(picture(4)).save(path)
    old = data(page, "box")
    upload(page, path)
    wait_until_other(page, "box", old)
    assert page.evaluate("window.hacked") is None
    assert page.query_selector("#dgl-facts img") is None


def test_two_visitors_at_once(visit, server, direct, first):
    pages = [visit(server), visit(server)]
    second = Expected(direct, sample_pictures()[4])
    old = data(pages[1], "box")
    pages[1].click(".dgl-samples button >> nth=4")
    slide(pages[0], "layer", 5)
    wait_until_other(pages[1], "box", old)
    wait_until_other(pages[0], "layer", "conv5_2")
    slide(pages[1], "layer", 3)
    slide(pages[0], "layer", 6)
    wait_until_other(pages[1], "layer", "conv5_2")
    pages[0].wait_for_selector("#dgl-one .dgl-three[data-layer='conv4_2']")
    check_box(pages[0], first.box(layer="conv4_2"))
    check_box(pages[1], second.box(layer="conv5_1"))
    assert os.path.basename(sample_pictures()[0]) in pages[0].inner_text("#dgl-facts")
    assert os.path.basename(sample_pictures()[4]) in pages[1].inner_text("#dgl-facts")


def test_another_checkpoint(visit, server, small_vgg):
    page = visit(server)
    old = data(page, "box")
    slide(page, "layer", 4)
    wait_until_other(page, "layer", "conv5_2")
    folder = os.path.basename(os.path.dirname(small_vgg))
    choose(page, "checkpoint", "{}/birds.npz · VGG16".format(folder))
    wait_until_other(page, "box", old)
    page.wait_for_function(
        "document.querySelector('#dgl-controls').innerText.includes('5 classes')"
    )
    assert data(page, "layer") == "pool4"  # of the same backbone, the layer stays
    with Predictor("vgg", small_vgg, ["all"], gpu="-1") as predictor:
        check_box(page, Expected(predictor, sample_pictures()[0]).box(layer="pool4", alpha=None))


def check_layer(page, index, layer):
    """A layer is what everything says, and stays it: sliders that are set may send events of their own."""
    page.wait_for_selector("#dgl-one .dgl-three[data-layer='{}']".format(layer))
    page.wait_for_timeout(1000)
    assert page.inner_text("#dgl-layer output") == data(page, "layer") == layer
    slider = page.get_by_label("range slider for layer", exact=True)
    assert slider.input_value() == str(index)


def test_another_backbone(visit, server, first, small_resnet):
    page = visit(server)
    layers = get_backbone("resnet50").layers
    slide(page, "layer", 15)  # further than ResNet50 goes
    check_layer(page, 15, "pool1")
    choose(page, "backbone", "ResNet50")
    check_layer(page, len(layers) - 1, layers[-1])
    with Predictor("resnet50", small_resnet, ["all"], gpu="-1") as predictor:
        expected = Expected(predictor, sample_pictures()[0])
        check_box(page, expected.box(layer=layers[-1], alpha=None))
        slide(page, "layer", 3)
        check_layer(page, 3, layers[3])
        check_box(page, expected.box(layer=layers[3], alpha=None))
    choose(page, "backbone", "VGG16")
    check_layer(page, 3, "conv5_1")
    check_box(page, first.box(layer="conv5_1"))


def test_files_of_the_server_cannot_be_reached(visit, server):
    page = visit(server)
    secret = os.path.abspath(__file__)
    for path in ("gradio_api/file=" + secret, "file=" + secret, "gradio_api/proxy=" + server.url):
        assert page.request.get(server.url + path).status == 404
    body = {
        "data": [{"path": secret, "meta": {"_type": "gradio.FileData"}}],
        "fn_index": 0,
        "session_hash": "abc",
    }
    for path in (secret, "http://127.0.0.1:1/a.png"):
        body["data"][0]["path"] = path
        answer = page.request.post(server.url + "gradio_api/queue/join", data=body)
        assert answer.status == 403


def test_the_end_leaves_nothing(visit, tmp_path, photo):
    server = start(tmp_path)
    page = visit(server, "ERR_|Connection|connection|Failed|network")
    old = data(page, "box")
    upload(page, photo)
    wait_until_other(page, "box", old)
    assert any(files for _, _, files in os.walk(str(tmp_path)))  # the upload, for a minute
    assert stop(server) == (128 + signal.SIGTERM, "stopped\n")
    assert os.listdir(str(tmp_path)) == []


def test_ctrl_c(tmp_path):
    server = start(tmp_path)
    assert stop(server, signal.SIGINT) == (130, "interrupted\n")
    assert os.listdir(str(tmp_path)) == []
