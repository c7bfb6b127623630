"""The page in Chromium: controls and downloads against a direct run, two visitors, hostile files, the end.

Requests to other servers, errors on the console and failed requests fail the test.
"""

import json
import os
import re
import signal

import numpy as np
import pytest
from chromium import MARKS
from page_driver import THREE, Expected, numbers, start, stop
from PIL import Image

from dgl.backbones import get_backbone
from dgl.datasets import sample_images
from dgl.predict.postprocess import iou
from dgl.predict.predictor import Predictor

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

pytestmark = MARKS


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1366, 768), (390, 844)])
def test_it_begins_with_a_sample_and_fits(open_page, server, first, scheme, width, height):
    viewport = {"width": width, "height": height}
    page = open_page(server, viewport=viewport, color_scheme=scheme)
    page.check_box(first.box())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in page.query_selector_all("img"):
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    if width > 1000:  # the images and every control without scrolling
        for selector in (THREE, "#dgl-controls", "#dgl-upload", ".dgl-samples"):
            box = page.query_selector(selector).bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= height, selector


def test_upload(open_page, server, direct, photo):
    page = open_page(server)
    with page.changing("box"):
        page.upload(photo)
    page.check_box(Expected(direct, photo).box())
    assert "my photo" in page.inner_text("#dgl-facts")
    assert page.evaluate("window.hacked") is None
    assert page.query_selector("#dgl-facts img") is None
    assert page.is_visible("#dgl-upload [data-testid=upload-text]")  # ready for the next one


def test_a_sample(open_page, server, direct):
    page = open_page(server)
    with page.changing("box"):
        page.choose_sample(3)
    page.check_box(Expected(direct, sample_images()[3]).box())
    assert os.path.basename(sample_images()[3]) in page.inner_text("#dgl-facts")


POOL4, ADD, CONV1_1 = (4, "pool4", "pool4"), (0, "add", "add"), (17, "conv1_1", "conv1_1")
ALPHAS = [(0, "0.1", 0.1), (41, "\u221e", float("inf"))]
THRESHOLDS = [(0.5, "0.50", 0.5), (0.8, "0.80", 0.8), (0.05, "0.05", 0.05)]


# Another layer or alpha is a run of the network, but for the layer that was there already.
@pytest.mark.parametrize(
    "name, changes, values, runs",
    [
        ("layer", "layer", [POOL4, ADD, CONV1_1, POOL4], 3),
        ("alpha", "runs", ALPHAS, 2),
        ("threshold", "box", THRESHOLDS, 0),
    ],
)
def test_sliders(open_page, server, first, name, changes, values, runs):
    page = open_page(server)
    before = int(page.data("runs"))
    for position, text, value in values:
        with page.changing(changes):
            page.slide(name, position)
        assert page.inner_text(f"#dgl-{name} output") == text
        page.check_box(first.box(**{name: value}))
        without = "without the network" in page.inner_text("#dgl-status")
        assert without or name != "threshold"
    assert int(page.data("runs")) == before + runs


def test_methods(open_page, server, first):
    page = open_page(server)
    for title, method, layer in (("Grad-CAM++", "gradcam++", "conv5_2"), ("CAM", "cam", "add")):
        with page.changing("method"):
            page.choose("method", title)
        assert (page.data("method"), page.data("layer")) == (method, layer)
        page.check_box(first.box(method=method, layer=layer))


def test_classes(open_page, server, first):
    page = open_page(server)
    _, probability = first.run()
    order = np.argsort(-probability)[:5]
    assert len(page.query_selector_all("#dgl-classes button span")) == 5
    shown = page.locator("#dgl-classes button output").all_inner_texts()
    shares = [float(text.strip("<> %")) for text in shown]
    assert shares == pytest.approx(100 * probability[order], abs=0.1)
    with page.changing("runs"):
        page.click("#dgl-classes button >> nth=1")
    assert page.get_attribute("#dgl-classes button >> nth=1", "aria-pressed") == "true"
    page.check_box(first.box(class_index=int(order[1])))
    with page.changing("runs"):
        page.get_by_label("another class, by index, name or WordNet id").fill("golden cap")
        page.keyboard.press("Enter")
    assert "Golden Cap (1)" in page.inner_text("#dgl-facts")
    page.check_box(first.box(class_index=1))


def test_all_layers(open_page, server, first):
    page = open_page(server)
    page.get_by_role("tab", name="All layers").click()
    page.wait_for_selector("#dgl-all button")
    assert len(page.query_selector_all("#dgl-all button")) == 18
    for index, layer in ((0, "add"), (4, "pool4")):
        page.check_box(first.box(layer=layer), f"#dgl-all [data-layer='{index}']")
    page.click("#dgl-all button[data-layer='4']")
    page.wait_until_other("layer", "conv5_2")
    page.wait_for_selector(THREE, state="visible")
    check_layer(page, 4, "pool4")


def test_two_methods(open_page, server, first):
    page = open_page(server)
    selector = "#dgl-two .dgl-three"
    page.get_by_role("tab", name="Two methods").click()
    page.wait_for_selector(selector)

    def check(method, layer):
        boxes = [numbers(box) for box in page.data("boxes", selector).split(";")]
        expected = [first.box(), first.box(method=method, layer=layer)]
        assert np.abs(np.subtract(boxes, expected)).max() <= 1
        shown = float(page.data("iou", selector))
        assert shown == pytest.approx(iou(boxes[0], boxes[1])[0, 0], abs=1e-6)
        assert f"{shown:.3f}" in page.inner_text(selector)

    check("cam", "add")
    with page.changing("iou", selector):
        page.choose("method of B", "LayerCAM")
    check("layercam", "conv5_2")
    with page.changing("boxes", selector):
        page.slide("layer of B", 4)
    check("layercam", "pool4")


def test_downloads(open_page, server, first, tmp_path):
    page = open_page(server)
    with page.changing("layer"):
        page.slide("layer", 4)
    with page.changing("box"):
        page.slide("threshold", 0.4)
    for kind in ("png", "json", "npy"):
        with page.expect_download() as download:
            page.click("#dgl-" + kind)
        assert download.value.suggested_filename == "bird_crimson_crest_vgg_pool4_dgl." + kind
        download.value.save_as(str(tmp_path / ("file." + kind)))
    raw, probability = first.run(layer="pool4")
    found = np.load(str(tmp_path / "file.npy"), allow_pickle=False)
    # The same arithmetic, but other kernels where weights are no constants: a ReLU may switch.
    np.testing.assert_allclose(found, raw, rtol=0, atol=1e-3 * np.abs(raw).max())
    record = json.loads((tmp_path / "file.json").read_text())
    assert record["box"] == numbers(page.data("box"))
    assert np.abs(np.subtract(record["box"], first.box(0.4, layer="pool4"))).max() <= 1
    assert record["probability"] == pytest.approx(float(probability.max()), abs=1e-4)
    assert (record["layer"], record["threshold"], record["alpha"]) == ("pool4", 0.4, 10.0)
    with Image.open(str(tmp_path / "file.png")) as image:
        assert image.height == record["height"] == first.image.shape[0]


def test_two_visitors_at_once(open_page, server, direct, first):
    pages = [open_page(server), open_page(server)]
    second = Expected(direct, sample_images()[4])
    with pages[1].changing("box"):
        pages[1].choose_sample(4)
        pages[0].slide("layer", 5)
    pages[0].wait_until_other("layer", "conv5_2")
    pages[1].slide("layer", 3)
    pages[0].slide("layer", 6)
    pages[1].wait_until_other("layer", "conv5_2")
    pages[0].wait_for_selector(THREE + "[data-layer='conv4_2']")
    pages[0].check_box(first.box(layer="conv4_2"))
    pages[1].check_box(second.box(layer="conv5_1"))
    for page, number in zip(pages, (0, 4)):
        assert os.path.basename(sample_images()[number]) in page.inner_text("#dgl-facts")


def test_another_checkpoint(open_page, server, small_vgg):
    page = open_page(server)
    with page.changing("layer"):
        page.slide("layer", 4)
    folder = os.path.basename(os.path.dirname(small_vgg))
    with page.changing("box"):
        page.choose("checkpoint", f"{folder}/birds.npz · VGG16")
    page.wait_for_selector("#dgl-controls >> text=5 classes")
    assert page.data("layer") == "pool4"  # of the same backbone, the layer stays
    with Predictor("vgg", small_vgg, ["all"], gpu="-1") as predictor:
        page.check_box(Expected(predictor, sample_images()[0]).box(layer="pool4", alpha=None))


def check_layer(page, index, layer):
    """A layer is what everything says, and stays it: sliders that are set may send events of their own."""
    page.wait_for_selector(f"{THREE}[data-layer='{layer}']")
    slider = page.get_by_label("range slider for layer", exact=True)
    handle = slider.element_handle()
    page.wait_for_function("([e, n]) => e.value === n", arg=[handle, str(index)])
    page.wait_for_timeout(1000)
    assert page.inner_text("#dgl-layer output") == page.data("layer") == layer
    assert slider.input_value() == str(index)


def test_another_backbone(open_page, server, first, small_resnet):
    page = open_page(server)
    layers = get_backbone("resnet50").layers
    page.slide("layer", 15)  # further than ResNet50 goes
    check_layer(page, 15, "pool1")
    page.choose("backbone", "ResNet50")
    check_layer(page, 2, layers[2])  # where maps of this backbone are best
    with Predictor("resnet50", small_resnet, ["all"], gpu="-1") as predictor:
        expected = Expected(predictor, sample_images()[0])
        page.check_box(expected.box(layer=layers[2], alpha=None))
        page.slide("layer", 3)
        check_layer(page, 3, layers[3])
        page.check_box(expected.box(layer=layers[3], alpha=None))
    page.choose("backbone", "VGG16")
    check_layer(page, 2, "conv5_2")
    page.check_box(first.box())


def test_a_file_that_is_refused_is_one_line_and_the_page_goes_on(open_page, server, tmp_path):
    page = open_page(server)
    before = page.data("box")
    Image.new("RGB", (1001, 1000)).save(str(tmp_path / "large.png"))
    page.upload(tmp_path / "large.png")
    page.wait_for_selector("#dgl-status .dgl-error")
    message = "large.png: 1001 x 1000 pixels; expected at most 1 megapixels"
    assert message in page.inner_text("#dgl-status")
    assert page.data("box") == before
    page.choose_sample(2)
    page.wait_until_other("box", before)
    assert page.query_selector("#dgl-status .dgl-error") is None


@pytest.mark.parametrize(
    "name, size, message",
    [
        ("note.txt", 100, r"[Ii]nvalid file type"),
        ("big.png", 2100000, r"exceed the maximum allowed size of 1.9 Mb"),
    ],
)
def test_what_the_browser_refuses(open_page, server, tmp_path, name, size, message):
    page = open_page(server, r"413", message)
    (tmp_path / name).write_bytes(b"x" * size)
    page.upload(tmp_path / name)
    page.wait_for_selector("[data-testid=toast-body]")
    assert re.search(message, page.inner_text("[data-testid=toast-body]"))
    with page.changing("box"):
        page.choose_sample(2)


def test_files_of_the_server_cannot_be_reached(open_page, server):
    page = open_page(server)
    secret = os.path.abspath(__file__)
    for path in ("gradio_api/file=" + secret, "file=" + secret, "gradio_api/proxy=" + server.url):
        assert page.request.get(server.url + path).status == 404
    for path in (secret, "http://127.0.0.1:1/a.png"):
        sent = [{"path": path, "meta": {"_type": "gradio.FileData"}}]
        body = {"data": sent, "fn_index": 0, "session_hash": "abc"}
        answer = page.request.post(server.url + "gradio_api/queue/join", data=body)
        assert answer.status == 403


STOPPED = (128 + signal.SIGTERM, "stopped\n")
INTERRUPTED = (128 + signal.SIGINT, "interrupted\n")


@pytest.mark.parametrize("number, end", [(signal.SIGTERM, STOPPED), (signal.SIGINT, INTERRUPTED)])
def test_the_end_leaves_nothing(open_page, tmp_path, photo, number, end):
    server = start(tmp_path)
    page = open_page(server, "ERR_|Connection|connection|Failed|network")
    with page.changing("box"):
        page.upload(photo)
    assert any(files for _, _, files in os.walk(str(tmp_path)))  # the upload, for a minute
    assert stop(server, number) == end
    assert os.listdir(str(tmp_path)) == []
