"""The page in Chromium: controls and downloads against a direct run, two visitors, hostile files, the end.

Requests to other servers, errors on the console and failed requests fail the test.
"""

import json
import os
import re
import signal

import numpy as np
import pytest
from chromium import CHROMIUM
from page_driver import (
    Expected,
    check_box,
    choose,
    data,
    numbers,
    png,
    slide,
    start,
    stop,
    upload,
    wait_until_other,
)
from PIL import Image
from sample_images import blob_image

from dgl.backbones import get_backbone
from dgl.datasets import sample_images
from dgl.predict.postprocess import iou
from dgl.predict.predictor import Predictor

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1366, 768), (390, 844)])
def test_it_begins_with_a_sample_and_fits(open_page, server, first, scheme, width, height):
    viewport = {"width": width, "height": height}
    page = open_page(server, viewport=viewport, color_scheme=scheme)
    check_box(page, first.box())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in page.query_selector_all("img"):
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    if width > 1000:  # the images and every control without scrolling
        for selector in ("#dgl-one .dgl-three", "#dgl-controls", "#dgl-upload", ".dgl-samples"):
            box = page.query_selector(selector).bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= height, selector


def test_upload(open_page, server, direct, photo):
    page = open_page(server)
    old = data(page, "box")
    upload(page, photo)
    wait_until_other(page, "box", old)
    check_box(page, Expected(direct, photo).box())
    assert "my photo.png" in page.inner_text("#dgl-facts")
    assert page.is_visible("#dgl-upload [data-testid=upload-text]")  # ready for the next one


def test_a_sample(open_page, server, direct):
    page = open_page(server)
    old = data(page, "box")
    page.click(".dgl-samples button >> nth=3")
    wait_until_other(page, "box", old)
    check_box(page, Expected(direct, sample_images()[3]).box())
    assert os.path.basename(sample_images()[3]) in page.inner_text("#dgl-facts")


def test_layers_by_slider(open_page, server, first):
    page = open_page(server)
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


def test_methods(open_page, server, first):
    page = open_page(server)
    for title, method, layer in (("Grad-CAM++", "gradcam++", "conv5_2"), ("CAM", "cam", "add")):
        old = data(page, "method")
        choose(page, "method", title)
        assert wait_until_other(page, "method", old) == method
        assert data(page, "layer") == layer
        check_box(page, first.box(method=method, layer=layer))


def test_classes(open_page, server, first):
    page = open_page(server)
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
    page.get_by_label("another class, by index, name or WordNet id").fill("golden cap")
    page.keyboard.press("Enter")
    wait_until_other(page, "runs", old)
    assert "Golden Cap (1)" in page.inner_text("#dgl-facts")
    check_box(page, first.box(class_index=1))


def test_alpha(open_page, server, first):
    page = open_page(server)
    for position, alpha, text in ((0, 0.1, "0.1"), (41, float("inf"), "\u221e")):
        old = data(page, "runs")
        slide(page, "alpha", position)
        wait_until_other(page, "runs", old)
        assert page.inner_text("#dgl-alpha output") == text
        check_box(page, first.box(alpha=alpha))


def test_the_threshold_runs_no_network(open_page, server, first):
    page = open_page(server)
    runs = data(page, "runs")
    for threshold in (0.5, 0.8, 0.05):
        old = data(page, "box")
        slide(page, "threshold", threshold)
        wait_until_other(page, "box", old)
        check_box(page, first.box(threshold=threshold))
        assert "without the network" in page.inner_text("#dgl-status")
        assert float(page.inner_text("#dgl-threshold output")) == threshold
    assert data(page, "runs") == runs


def test_all_layers(open_page, server, first):
    page = open_page(server)
    page.get_by_role("tab", name="All layers").click()
    page.wait_for_selector("#dgl-all button")
    assert len(page.query_selector_all("#dgl-all button")) == 18
    for index, layer in ((0, "add"), (4, "pool4")):
        check_box(page, first.box(layer=layer), f"#dgl-all [data-layer='{index}']")
    page.click("#dgl-all button[data-layer='4']")
    wait_until_other(page, "layer", "conv5_2")
    page.wait_for_selector("#dgl-one .dgl-three", state="visible")
    check_layer(page, 4, "pool4")


def test_two_methods(open_page, server, first):
    page = open_page(server)
    selector = "#dgl-two .dgl-three"
    page.get_by_role("tab", name="Two methods").click()
    page.wait_for_selector(selector)
    for title, entry in ((None, ("cam", "add")), ("LayerCAM", ("layercam", "conv5_2"))):
        old = data(page, "iou", selector)
        if title:
            choose(page, "method of B", title)
            wait_until_other(page, "iou", old, selector)
        boxes = [numbers(box) for box in data(page, "boxes", selector).split(";")]
        expected = [first.box(), first.box(method=entry[0], layer=entry[1])]
        assert np.abs(np.subtract(boxes, expected)).max() <= 1
        shown = float(data(page, "iou", selector))
        assert shown == pytest.approx(iou(boxes[0], boxes[1])[0, 0], abs=1e-6)
        assert f"{shown:.3f}" in page.inner_text(selector)
    old = data(page, "boxes", selector)
    slide(page, "layer of B", 4)
    boxes = wait_until_other(page, "boxes", old, selector).split(";")
    expected = first.box(method="layercam", layer="pool4")
    assert np.abs(np.subtract(numbers(boxes[1]), expected)).max() <= 1


def test_downloads(open_page, server, first, tmp_path):
    page = open_page(server)
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
        assert first.image.shape[1::-1] == (record["width"], record["height"])
        # A bar of colors is beside the image.
        assert image.height == record["height"] and image.width > record["width"]
        red = np.asarray(image)[(record["box"][1] + record["box"][3]) // 2, record["box"][0]]
    assert red.tolist() == [255, 56, 56]  # the box is drawn


def test_two_visitors_at_once(open_page, server, direct, first):
    pages = [open_page(server), open_page(server)]
    second = Expected(direct, sample_images()[4])
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
    assert os.path.basename(sample_images()[0]) in pages[0].inner_text("#dgl-facts")
    assert os.path.basename(sample_images()[4]) in pages[1].inner_text("#dgl-facts")


def test_another_checkpoint(open_page, server, small_vgg):
    page = open_page(server)
    old = data(page, "box")
    slide(page, "layer", 4)
    wait_until_other(page, "layer", "conv5_2")
    folder = os.path.basename(os.path.dirname(small_vgg))
    choose(page, "checkpoint", f"{folder}/birds.npz · VGG16")
    wait_until_other(page, "box", old)
    page.wait_for_function(
        "document.querySelector('#dgl-controls').innerText.includes('5 classes')"
    )
    assert data(page, "layer") == "pool4"  # of the same backbone, the layer stays
    with Predictor("vgg", small_vgg, ["all"], gpu="-1") as predictor:
        check_box(page, Expected(predictor, sample_images()[0]).box(layer="pool4", alpha=None))


def check_layer(page, index, layer):
    """A layer is what everything says, and stays it: sliders that are set may send events of their own."""
    page.wait_for_selector(f"#dgl-one .dgl-three[data-layer='{layer}']")
    slider = page.get_by_label("range slider for layer", exact=True)
    handle = slider.element_handle()
    page.wait_for_function("([e, n]) => e.value === n", arg=[handle, str(index)])
    page.wait_for_timeout(1000)
    assert page.inner_text("#dgl-layer output") == data(page, "layer") == layer
    assert slider.input_value() == str(index)


def test_another_backbone(open_page, server, first, small_resnet):
    page = open_page(server)
    layers = get_backbone("resnet50").layers
    slide(page, "layer", 15)  # further than ResNet50 goes
    check_layer(page, 15, "pool1")
    choose(page, "backbone", "ResNet50")
    check_layer(page, 2, layers[2])  # where maps of this backbone are best
    with Predictor("resnet50", small_resnet, ["all"], gpu="-1") as predictor:
        expected = Expected(predictor, sample_images()[0])
        check_box(page, expected.box(layer=layers[2], alpha=None))
        slide(page, "layer", 3)
        check_layer(page, 3, layers[3])
        check_box(page, expected.box(layer=layers[3], alpha=None))
    choose(page, "backbone", "VGG16")
    check_layer(page, 2, "conv5_2")
    check_box(page, first.box())


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("note.png", b"no image", "note.png: not an image"),
        (
            "half.png",
            png(Image.fromarray(blob_image(3)))[:-1000],
            "half.png: damaged or truncated image",
        ),
        (
            "large.png",
            png(Image.new("RGB", (1001, 1000))),
            "large.png: 1001 x 1000 pixels; expected at most 1 megapixels",
        ),
    ],
)
def test_a_bad_file_is_one_line_and_the_page_goes_on(
    open_page, server, tmp_path, name, content, message
):
    page = open_page(server)
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
def test_what_the_browser_refuses(open_page, server, tmp_path, name, size, message):
    page = open_page(server, r"413", message)
    (tmp_path / name).write_bytes(b"x" * size)
    before = data(page, "box")
    upload(page, str(tmp_path / name))
    page.wait_for_selector("[data-testid=toast-body]")
    assert re.search(message, page.inner_text("[data-testid=toast-body]"))
    page.click(".dgl-samples button >> nth=2")
    wait_until_other(page, "box", before)


def test_a_hostile_name_is_text(open_page, server, direct, tmp_path):
    page = open_page(server)
    path = str(tmp_path / "<img src=x onerror='window.hacked=1'>.png")
    Image.fromarray(blob_image(4)).save(path)
    old = data(page, "box")
    upload(page, path)
    wait_until_other(page, "box", old)
    assert page.evaluate("window.hacked") is None
    assert page.query_selector("#dgl-facts img") is None


def test_files_of_the_server_cannot_be_reached(open_page, server):
    page = open_page(server)
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


def test_the_end_leaves_nothing(open_page, tmp_path, photo):
    server = start(tmp_path)
    page = open_page(server, "ERR_|Connection|connection|Failed|network")
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
