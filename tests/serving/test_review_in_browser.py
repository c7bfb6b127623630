"""`dgl review` in Chromium: drag, reload, kill the server, go on; two tabs; ten thousand images.

Requests to other servers and errors on the console fail the test.
"""

import json
import os
import re
import signal
import time

import pytest
from chromium import CHROMIUM
from made_labels import an_object, header, make_store
from page_driver import start, stop
from PIL import Image

from dgl.labeling.decisions import DECISIONS, read_decisions
from dgl.labeling.labels import ImageLabels
from dgl.labeling.store import LabelStore

pytest.importorskip("starlette")
pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
# The browser's own word for a server that was killed.
_KILLED = (
    r"console: Failed to load resource: net::ERR_CONNECTION_REFUSED|console: .*409 \(Conflict\)"
)


class Site:
    """A server over a store, which can be killed and started again on its port."""

    def __init__(self, out, folder):
        self.out, self._folder = out, folder
        self.port = 0
        self.start()

    def start(self):
        command = ["review", self.out, "--port", str(self.port)]
        self._server = start(self._folder, command=command)
        self.url = self._server.url
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def kill(self):
        self._server.process.send_signal(signal.SIGKILL)
        self._server.process.wait()

    def stop(self):
        return stop(self._server)

    def decided(self):
        return {name: d.status for name, d in read_decisions(self.out).items()}


@pytest.fixture
def site(tmp_path):
    sites = []

    def serve(out):
        sites.append(Site(out, str(tmp_path)))
        return sites[-1]

    yield serve
    for one in sites:
        one.stop()


@pytest.fixture
def tab(browser):
    """Opens the page in a tab of a new visitor, and checks at the end that nothing went wrong."""
    troubles, contexts = [], []

    def open_tab(url, **options):
        options.setdefault("viewport", {"width": 1200, "height": 700})
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(10000)
        page = contexts[-1].new_page()
        page.on("console", lambda message: troubles.append("console: " + message.text))
        page.on("pageerror", lambda error: troubles.append("error: " + str(error)))
        page.on(
            "request",
            lambda r: r.url.startswith((url, "data:")) or troubles.append("request: " + r.url),
        )
        page.goto(url)
        shown(page)
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert [trouble for trouble in troubles if not re.search(_KILLED, trouble)] == []


def shown(page, name=None):
    """Wait until an image is there, or the one of this name; returns its name."""
    page.wait_for_function(
        "name => name ? document.querySelector('#name').textContent === name"
        " : document.querySelector('#name').textContent !== ''",
        arg=name,
    )
    return page.inner_text("#name")


def status(page, expected):
    page.wait_for_function(
        "expected => document.querySelector('.status').textContent === expected", arg=expected
    )


def rows(page):
    return [text.split("\n") for text in page.locator("#objects li").all_inner_texts()]


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def on_screen(page, x, y):
    """Where a pixel of the image is on the screen."""
    frame = page.locator("#frame").bounding_box()
    width, height = map(float, page.get_attribute("#boxes", "viewBox").split()[2:])
    return frame["x"] + x * frame["width"] / width, frame["y"] + y * frame["height"] / height


def objects_of(site, image):
    return [found.box for found in read_decisions(site.out)[image].objects]


def test_drag_reload_kill_and_go_on(site, tab, tmp_path):
    site = site(make_store(tmp_path)[0])
    page = tab(site.url)
    assert shown(page) == "a.jpg" and page.is_visible("#none")  # no object: the first
    drag(page, on_screen(page, 10, 8), on_screen(page, 40, 30))
    status(page, "changed")
    assert objects_of(site, "sub/a.jpg")[0] == pytest.approx((10, 8, 40, 30), abs=0.2)
    page.reload()
    shown(page, "a.jpg")
    status(page, "changed")
    assert page.locator("#objects li").count() == 1
    page.keyboard.press("ArrowRight")
    shown(page, "b c.jpg")
    # A corner of the chosen box, the one of less confidence, while the server is gone.
    site.kill()
    drag(page, on_screen(page, 10, 5.5), on_screen(page, 4, 2))
    page.wait_for_selector("#notice.warn")
    assert "b c.jpg" not in site.decided()
    site.start()
    status(page, "changed")
    assert objects_of(site, "b c.jpg") == [
        (0, 0, 50, 50),
        pytest.approx((4, 2, 20.25, 45), abs=0.2),
    ]
    page.keyboard.press("a")  # as it is now, and on
    shown(page, "a.jpg")
    page.keyboard.press("a")
    shown(page, "turned.jpg")
    page.keyboard.press("r")
    page.wait_for_selector("#message:not([hidden])")
    assert site.decided() == {
        "sub/a.jpg": "changed",
        "b c.jpg": "changed",
        "a.jpg": "accepted",
        "sub/turned.jpg": "rejected",
    }
    assert page.inner_text("#count") == "4 of 4 reviewed"
    assert "Every image is reviewed" in page.inner_text("#message")
    assert site.stop()[0] == 143


def test_keys_and_undo(site, tab, tmp_path):
    site = site(make_store(tmp_path)[0])
    page = tab(site.url)
    page.keyboard.press("ArrowRight")
    shown(page, "b c.jpg")
    assert [row[0] for row in rows(page)] == ["apple", "bird & <friend>"]
    chosen = page.locator("#objects li.chosen")
    assert chosen.inner_text().startswith("bird")  # the less certain one
    page.keyboard.press("Tab")
    assert chosen.inner_text().startswith("apple")
    page.keyboard.press("c")
    page.keyboard.type("FRIEND")
    page.keyboard.press("Enter")
    status(page, "changed")
    assert [row[0] for row in rows(page)] == ["bird & <friend>"] * 2
    page.keyboard.press("Delete")
    page.wait_for_function("document.querySelectorAll('#objects li').length === 1")
    page.keyboard.press("n")
    drag(page, on_screen(page, 12, 10), on_screen(page, 18, 30))  # inside the other box
    page.wait_for_function("document.querySelectorAll('#objects li').length === 2")
    for expected in (1, 2, 2):
        page.keyboard.press("z")
        page.wait_for_function(
            "n => document.querySelectorAll('#objects li').length === n", arg=expected
        )
    status(page, "to review")
    assert [row[0] for row in rows(page)] == ["apple", "bird & <friend>"]
    page.keyboard.press("Enter")
    shown(page, "a.jpg")
    page.keyboard.press("ArrowLeft")
    shown(page, "b c.jpg")
    status(page, "accepted")
    page.keyboard.press("ArrowRight")
    shown(page, "a.jpg")
    page.keyboard.press("u")  # goes back to what it undoes
    shown(page, "b c.jpg")
    status(page, "to review")
    # The whole box moves, and stays inside the image.
    page.keyboard.press("ArrowRight")
    shown(page, "a.jpg")
    drag(page, on_screen(page, 20, 20), on_screen(page, 55, 22))
    status(page, "changed")
    assert objects_of(site, "a.jpg")[0] == pytest.approx((22.5, 4.5, 60, 40), abs=0.8)
    page.fill("#text", "turned")
    shown(page, "turned.jpg")
    page.select_option("#show", "changed")
    page.wait_for_selector("#message:not([hidden])")
    page.fill("#text", "")
    shown(page, "a.jpg")


def test_two_tabs(site, tab, tmp_path):
    site = site(make_store(tmp_path)[0])
    one, two = tab(site.url), tab(site.url)
    drag(one, on_screen(one, 10, 8), on_screen(one, 40, 30))
    status(one, "changed")
    two.keyboard.press("r")
    two.wait_for_selector("#notice.warn")
    assert "changed in another tab" in two.inner_text("#notice")
    status(two, "changed")
    assert two.locator("#objects li").count() == 1 and shown(two) == "a.jpg"
    assert site.decided() == {"sub/a.jpg": "changed"}
    two.keyboard.press("r")
    shown(two, "b c.jpg")
    assert site.decided() == {"sub/a.jpg": "rejected"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1366, 768), (390, 844)])
def test_it_fits(site, tab, tmp_path, scheme, width, height):
    page = tab(
        site(make_store(tmp_path)[0]).url,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.scrollHeight") <= height
    for selector in ("#frame", "#accept", "#next", "#undo"):
        box = page.locator(selector).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, selector
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, selector


@pytest.mark.slow
def test_ten_thousand_images(site, tab, tmp_path):
    data, out = tmp_path / "data", str(tmp_path / "out")
    data.mkdir()
    for number in range(10):
        Image.effect_noise((1024, 768), 60).save(str(data / f"{number}.jpg"))
    names = [f"{number:05d}.jpg" for number in range(10000)]
    for number, name in enumerate(names):
        os.symlink(f"{number % 10}.jpg", str(data / name))
    box = an_object((100, 100, 600, 500))
    with LabelStore(out, header(data, len(names))) as store:
        store.append(
            ImageLabels(name, 1024, 768, 0, (box._replace(confidence=number / len(names)),))
            for number, name in enumerate(names)
        )
    page = tab(site(out).url)
    assert page.inner_text("#count") == "0 of 10,000 reviewed"
    times = []
    for name in names[1:41]:
        page.wait_for_timeout(50)  # nobody is faster
        started = time.time()
        page.keyboard.press("a")
        shown(page, name)
        times.append(time.time() - started)
    print(f"next image: median {sorted(times)[20]:.3f} s, longest {max(times):.3f} s")
    assert sorted(times)[20] < 0.15
    with open(os.path.join(out, DECISIONS)) as stream:
        assert [json.loads(line)["image"] for line in stream] == names[:40]
