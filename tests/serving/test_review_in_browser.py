"""`dgl review` in Chromium: drag, reload, kill the server, go on; two tabs; ten thousand images.

Requests to other servers and errors on the console fail the test.
"""

import os
import time

import pytest
from chromium import MARKS
from made_labels import an_object, header, make_store
from page_driver import kill, start, stop
from PIL import Image

from dgl.labeling.decisions import read_decisions
from dgl.labeling.labels import ImageLabels
from dgl.labeling.store import LabelStore

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=30000)

pytestmark = MARKS
# The browser's own words for a server that was killed, and for a conflict.
_KILLED = r"^console: (Failed to load resource: net::ERR_CONNECTION_REFUSED|.*409 \(Conflict\))"


class Site:
    """A server over a store, which can be killed and started again on its port."""

    def __init__(self, out):
        self.out = out
        self.start(0)

    def start(self, port):
        command = ["review", self.out, "--port", str(port)]
        self.server = start(os.path.dirname(self.out), command=command)

    def decided(self):
        return {name: d.status for name, d in read_decisions(self.out).items()}

    def boxes(self, image):
        return [found.box for found in read_decisions(self.out)[image].objects]


@pytest.fixture
def serve():
    sites = []

    def start_site(out):
        sites.append(Site(out))
        return sites[-1]

    yield start_site
    for one in sites:
        assert stop(one.server)[0] == 143


@pytest.fixture
def site(serve, tmp_path):
    return serve(make_store(tmp_path)[0])


@pytest.fixture
def tab(open_tab):
    """Open the page for a new visitor."""

    def open_new(site, **options):
        page = open_tab(site.server.url, _KILLED, **options)
        expect(page.locator("#name")).not_to_be_empty()
        return page

    return open_new


def shows(page, name):
    page.wait_for_selector(f"#name:text-is('{name}')")  # sees it sooner than `expect`


def has_status(page, status):
    expect(page.locator(".status")).to_have_text(status)


def has_objects(page, count):
    expect(page.locator("#objects li")).to_have_count(count)


def press(page, key, image):
    """Press a key that leads to another image."""
    page.keyboard.press(key)
    shows(page, image)


def classes(page):
    return [text.split("\n")[0] for text in page.locator("#objects li").all_inner_texts()]


def drag(page, *box):
    """Drag from one pixel of the image to another: (x0, y0, x1, y1)."""
    frame = page.locator("#frame").bounding_box()
    width, height = map(float, page.get_attribute("#boxes", "viewBox").split()[2:])
    x0, x1 = (frame["x"] + x * frame["width"] / width for x in box[::2])
    y0, y1 = (frame["y"] + y * frame["height"] / height for y in box[1::2])
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()


def test_drag_reload_kill_and_go_on(site, tab):
    page = tab(site)
    shows(page, "a.jpg")  # without an object: the first
    assert page.is_visible("#none")
    drag(page, 10, 8, 40, 30)
    has_status(page, "changed")
    assert site.boxes("sub/a.jpg")[0] == pytest.approx((10, 8, 40, 30), abs=0.2)
    page.reload()
    shows(page, "a.jpg")
    has_status(page, "changed")
    has_objects(page, 1)
    press(page, "ArrowRight", "b c.jpg")
    # A corner of the chosen box, the one of less confidence, while the server is gone.
    kill(site.server)
    drag(page, 10, 5.5, 4, 2)
    page.wait_for_selector("#notice.warn")
    assert "b c.jpg" not in site.decided()
    site.start(site.server.port)
    has_status(page, "changed")
    boxes = [(0, 0, 50, 50), pytest.approx((4, 2, 20.25, 45), abs=0.2)]
    assert site.boxes("b c.jpg") == boxes
    press(page, "a", "a.jpg")  # as it is now, and on
    press(page, "a", "turned.jpg")
    page.keyboard.press("r")
    page.wait_for_selector("#message:not([hidden])")
    decided = {"sub/a.jpg": "changed", "b c.jpg": "changed", "a.jpg": "accepted"}
    assert site.decided() == {**decided, "sub/turned.jpg": "rejected"}
    assert page.inner_text("#count") == "4 of 4 reviewed"
    assert "Every image is reviewed" in page.inner_text("#message")


def test_keys_and_undo(site, tab):
    page = tab(site)
    press(page, "ArrowRight", "b c.jpg")
    assert classes(page) == ["apple", "bird & <friend>"]
    chosen = page.locator("#objects li.chosen")
    assert chosen.inner_text().startswith("bird")  # the less certain one
    page.keyboard.press("Tab")
    assert chosen.inner_text().startswith("apple")
    page.keyboard.press("c")
    page.keyboard.type("FRIEND")
    page.keyboard.press("Enter")
    has_status(page, "changed")
    assert classes(page) == ["bird & <friend>"] * 2
    page.keyboard.press("Delete")
    has_objects(page, 1)
    page.keyboard.press("n")
    drag(page, 12, 10, 18, 30)  # inside the other box
    has_objects(page, 2)
    for expected in (1, 2, 2):
        page.keyboard.press("z")
        has_objects(page, expected)
    has_status(page, "to review")
    assert classes(page) == ["apple", "bird & <friend>"]
    press(page, "Enter", "a.jpg")
    press(page, "ArrowLeft", "b c.jpg")
    has_status(page, "accepted")
    press(page, "ArrowRight", "a.jpg")
    press(page, "u", "b c.jpg")  # goes back to what it undoes
    has_status(page, "to review")
    # The whole box moves, and stays inside the image.
    press(page, "ArrowRight", "a.jpg")
    drag(page, 20, 20, 55, 22)
    has_status(page, "changed")
    assert site.boxes("a.jpg")[0] == pytest.approx((22.5, 4.5, 60, 40), abs=0.8)
    page.fill("#text", "turned")
    shows(page, "turned.jpg")
    page.select_option("#show", "changed")
    page.wait_for_selector("#message:not([hidden])")
    page.fill("#text", "")
    shows(page, "a.jpg")


def test_two_tabs(site, tab):
    one, two = tab(site), tab(site)
    drag(one, 10, 8, 40, 30)
    has_status(one, "changed")
    two.keyboard.press("r")
    two.wait_for_selector("#notice.warn")
    assert "changed in another tab" in two.inner_text("#notice")
    has_status(two, "changed")
    has_objects(two, 1)
    shows(two, "a.jpg")
    assert site.decided() == {"sub/a.jpg": "changed"}
    press(two, "r", "b c.jpg")
    assert site.decided() == {"sub/a.jpg": "rejected"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1366, 768), (390, 844)])
def test_it_fits(site, tab, scheme, width, height):
    page = tab(site, viewport={"width": width, "height": height}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.scrollHeight") <= height
    for selector in ("#frame", "#accept", "#next", "#undo"):
        box = page.locator(selector).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, selector
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, selector


@pytest.mark.slow
def test_ten_thousand_images(serve, tab, tmp_path):
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
    page = tab(serve(out))
    assert page.inner_text("#count") == "0 of 10,000 reviewed"
    times = []
    for name in names[1:41]:
        page.wait_for_timeout(50)  # nobody is faster
        started = time.time()
        press(page, "a", name)
        times.append(time.time() - started)
    print(f"next image: median {sorted(times)[20]:.3f} s, longest {max(times):.3f} s")
    assert sorted(times)[20] < 0.15
    assert sorted(read_decisions(out)) == names[:40]
