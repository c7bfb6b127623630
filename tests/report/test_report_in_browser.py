"""The report in Chromium: images load, sorting and filters work, in light and dark.

Any request that is not for the page itself fails the test.
"""

import json

import pytest
from chromium import CHROMIUM, FLAGS, MARKS
from sample_report import CLASSES, METHODS, sample_report

from dgl.report.page import write_report

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = MARKS
LAYERS = ["add", "conv5_3", "conv5_2"]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """(path of the page, its gallery): hostile class names among the others."""
    folder = tmp_path_factory.mktemp("report")
    metrics, run, gallery = sample_report(folder, LAYERS, METHODS[:3], images=15, seed=1)
    for item in gallery:
        if item["true_class"] == CLASSES[0]:
            item["true_class"] = "</script><script>window.hacked = 1</script>\"'"
            item["id"] += "<img src=x onerror='window.hacked = 1'>"
    return write_report(str(folder), metrics, run, gallery), gallery


@pytest.fixture
def opened(browser):
    """Opens a file with the network blocked, and checks at the end that nothing went wrong."""
    troubles, contexts = [], []

    def open_page(path, **options):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)

        def answer(route):
            if route.request.url.startswith(("file://" + path, "data:")):
                route.continue_()
            else:
                troubles.append("request: " + route.request.url[:200])
                route.abort()

        context.set_default_timeout(15000)
        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda message: troubles.append("console: " + message.text))
        page.on("pageerror", lambda error: troubles.append("error: " + str(error)))
        page.goto("file://" + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def shown(page):
    """Ids of the images that can be seen, from the top down."""
    return [
        article.query_selector(".id").inner_text()
        for article in page.query_selector_all("article.image")
        if article.is_visible()
    ]


def check_order(page, gallery, entry, descending=True, keep=lambda item: True):
    """Check which images are shown, those without an IoU last, and what is counted; returns their ids."""
    kept = [item for item in gallery if keep(item)]
    known = [item for item in kept if item["ious"][entry] is not None]
    known.sort(key=lambda item: item["ious"][entry], reverse=descending)
    ids = shown(page)
    assert ids[: len(known)] == [item["id"] for item in known]
    assert set(ids[len(known) :]) == {i["id"] for i in kept if i["ious"][entry] is None}
    assert page.inner_text("#count") == f"{len(ids)} of {len(gallery)} images"
    return ids


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_image_loads_and_nothing_overflows(opened, sample, scheme, width):
    page = opened(sample[0], color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    images = page.query_selector_all("img")
    assert len(images) > 15
    for image in images:
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete", arg=image)
        assert image.evaluate("image => image.naturalWidth") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.hacked") is None
    colors = page.evaluate(
        "[document.body, document.querySelector('select')].map(e => getComputedStyle(e))"
        ".map(s => [s.color, s.backgroundColor])"
    )
    for pair in colors:
        ink, ground = (
            sum(json.loads("[" + color[color.index("(") + 1 : -1] + "]")[:3]) / 3 for color in pair
        )
        assert (ink > ground) == (scheme == "dark") and abs(ink - ground) > 150


def test_sorting(opened, sample):
    path, gallery = sample
    page = opened(path)
    entries = list(gallery[0]["ious"])
    check_order(page, gallery, entries[0])
    page.select_option("select[name=entry]", label=entries[3])
    check_order(page, gallery, entries[3])
    page.select_option("select[name=order]", "-1")
    check_order(page, gallery, entries[3], descending=False)
    chosen = page.query_selector_all("li.chosen")
    assert len(chosen) == len(gallery)
    assert {item.inner_text().split()[0] for item in chosen} == {entries[3]}


@pytest.mark.parametrize("name", ["located", "correct", "class", "case"])
def test_filters(opened, sample, name):
    path, gallery = sample
    page = opened(path)
    entry = list(gallery[0]["ious"])[1]
    page.select_option("select[name=entry]", label=entry)
    texts = page.locator(f"select[name={name}] option").all_inner_texts()[1:]
    found = []
    for text in texts:
        page.select_option(f"select[name={name}]", label=text)
        found += check_order(page, gallery, entry, keep=lambda i, t=text: fits(i, entry, name, t))
    judged = [i for i in gallery if i["ious"][entry] is not None or name in ("class", "correct")]
    # Every image that can be judged is in exactly one of the choices.
    assert sorted(found) == sorted(item["id"] for item in judged)
    page.click("button[type=reset]")
    page.wait_for_function("document.getElementById('count').textContent.startsWith('15 of')")
    assert len(shown(page)) == len(gallery)


def fits(item, entry, name, text):
    iou = item["ious"][entry]
    if name == "located":
        return iou is not None and (iou >= 0.5) == (text == "right")
    if name == "correct":
        return item["correct"] == (text == "right")
    if name == "class":
        return item["true_class"] == text
    return item["cases"][entry] is not None and item["cases"][entry] in text


def test_no_images_match(opened, sample):
    page = opened(sample[0])
    assert not page.is_visible("#none")
    page.select_option("select[name=located]", "1")
    page.select_option("select[name=case]", label="elsewhere")
    assert shown(page) == [] and page.is_visible("#none")
    assert page.inner_text("#none") == "No images match."
    assert page.inner_text("#count").startswith("0 of")


def test_without_a_script_everything_is_shown(opened, sample):
    page = opened(sample[0], java_script_enabled=False)
    assert len(shown(page)) == len(sample[1])
    assert not page.is_visible("#controls") and not page.is_visible("#none")
