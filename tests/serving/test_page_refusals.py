"""The page in Chromium: bad and hostile files, files of the server, and the server's end."""

import os
import re
import signal

import pytest
from chromium import CHROMIUM
from page_driver import data, png, start, stop, upload, wait_until_other
from PIL import Image
from sample_images import blob_image

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


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
