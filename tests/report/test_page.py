"""The report page: well-formed, escaped, self-contained, best values bold, protocols apart."""

import base64
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sample_report import METHODS, RUN, sample_report

from dgl.errors import UserError
from dgl.predict.overlay import write_image
from dgl.report.page import write_report

pytestmark = pytest.mark.usefixtures("quick_charts")
SCRIPT = "</script><script>alert('x')</script><!--\"'"
VOID = {"meta", "img", "br", "link", "input", "hr"}
LAYERS = ["add", "conv5_3", "conv5_2"]


class Page(HTMLParser):
    """Collect tags, addresses, text and tables, and check that tags are closed in order."""

    def __init__(self, text):
        HTMLParser.__init__(self)
        self.open, self.tags, self.addresses, self.tables, self.ids = [], [], [], [], []
        self.text, self.alts, self.headings, self.scripts, self.attributes = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        self.words = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name) for name, _ in attrs]
        attrs = dict(attrs)
        self.tags.append(tag)
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img":
            self.alts.append(attrs["alt"])
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(["", False])
        elif tag == "b" and "td" in self.open:
            self.tables[-1][-1][-1][1] = True
        elif tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts[-1] += data
        elif "style" not in self.open:
            self.text.append(data)
            if "h2" in self.open:
                self.headings.append(data)
            if "td" in self.open or "th" in self.open:
                self.tables[-1][-1][-1][0] += data

    @property
    def index(self):
        return json.loads(self.scripts[0])


IMAGE = {
    "true_class": "apple",
    "predicted_class": "banana",
    "probability": 0.876,
    "correct": False,
    "ious": {"dgl@conv5_3": 0.71, "cam@add": None},
    "cases": {"dgl@conv5_3": "right", "cam@add": None},
}


PARTS = {"dgl@conv5_3": "part", "cam@add": "part"}


def image_record(name, **changes):
    return dict(dict(IMAGE, file="gallery/" + name, id=name), **changes)


def read(folder):
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def report(folder, metrics, gallery=(), run=RUN):
    for item in gallery:
        write_image(str(folder / item["file"]), np.zeros((4, 4, 3), np.uint8))
    assert write_report(str(folder), metrics, run, list(gallery)) == str(folder / "index.html")
    return read(folder)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The page of an evaluation that has every part, with its folder and gallery."""
    folder = tmp_path_factory.mktemp("full")
    metrics, run, gallery = sample_report(folder, LAYERS, METHODS[:3], images=6)
    write_report(str(folder), metrics, run, gallery)
    return read(folder), folder, gallery


@pytest.fixture
def metrics(tmp_path):
    return sample_report(tmp_path, LAYERS[:2], METHODS[:2], images=0)[0]


def test_what_was_run_is_on_the_page(full):
    parts = [
        RUN["command"],
        "numpy 1.26.4",
        "model.npz",
        "11.9 % [7.4, 17.2]",
        "seed 0",
        "alpha 10",
    ]
    parts += [
        "vgg on photos5, val: 163 images, 5 classes",
        "time 3 min 12 s",
        "2024-05-01 10:00:00",
    ]
    assert not [part for part in parts if part not in full[0].words]
    assert "Top-5" not in full[0].words


def test_best_values_are_bold(tmp_path, metrics):
    table = report(tmp_path, metrics).tables[2]
    # CAM's row, the first of three, has the best of all figures; thresholds are none.
    figures = ["threshold" not in heading for heading, _ in table[0][2:]]
    is_bold = [[cell[1] for cell in row] for row in table[1:]]
    assert is_bold == [[False, False] + figures, [False] * 11, [False] * 11]
    assert figures.count(True) == 7


def test_all_parts(full):
    page, folder, gallery = full
    assert "; ".join(page.headings) == (
        "Protocol: Fixed threshold; Protocol: wsolevaluation; Selection; Alpha at conv5_2; "
        "Failure cases; Images; Literature"
    )
    anchors = [address[1:] for address in page.addresses if address.startswith("#")]
    assert len(anchors) == 7 and set(anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    note = "2 images could not be read. 1 true box extended beyond its image and was clipped."
    assert note in page.words
    assert "dgl@add cam@add BoxAcc +3.1 \u22121.0 to +7.2 0.120" in page.words
    assert "\u221212.4 \u221217.3 to \u22127.9 < 0.001" in page.words
    assert "160 images, 3 without a box left out" in page.words
    images = [address for address in page.addresses if address.startswith("data:image")]
    assert len(images) == len(page.alts) == len(gallery) + len(os.listdir(str(folder / "plots")))
    assert all(page.alts)


def test_everything_is_in_the_file(full):
    page, folder, gallery = full
    for address in page.addresses:
        assert address.startswith(("data:image/", "data:,", "#"))
    embedded = [base64.b64decode(a.split(",", 1)[1]) for a in page.addresses if "base64" in a]
    for item in gallery:
        assert (folder / item["file"]).read_bytes() in embedded
    for name in os.listdir(str(folder / "plots")):
        assert (folder / "plots" / name).read_bytes() in embedded
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert not re.search(r"\son\w+=", text)


def hostile(value):
    """The same with markup after every text that is not of this project's own words."""
    if isinstance(value, dict):
        own = ("figure", "cases")
        return {key: part if key in own else hostile(part) for key, part in value.items()}
    if isinstance(value, list):
        return [hostile(part) for part in value]
    return value + SCRIPT if isinstance(value, str) else value


def test_nothing_from_outside_becomes_markup(tmp_path, metrics):
    item = sample_report(tmp_path, LAYERS, METHODS[:2], images=1)[2][0]
    before = report(tmp_path, metrics, [item])
    other, image = hostile(metrics), dict(hostile(item), file=item["file"])
    other["alpha"]["rows"] = metrics["alpha"]["rows"]
    for part in ("model", "data", "versions"):
        other[part].update({key + SCRIPT: value for key, value in other[part].items()})
    for part in ("ious", "cases"):
        image[part] = {key + SCRIPT: value for key, value in image[part].items()}
    page = report(tmp_path, other, [image], hostile(RUN))
    assert page.scripts[1] == before.scripts[1] and len(page.scripts) == len(before.scripts) == 2
    assert set(page.tags) == set(before.tags)
    assert set(page.attributes) == set(before.attributes)
    assert "".join(page.text).count(SCRIPT) >= 40


def test_images_say_class_prediction_verdict_and_ious(tmp_path, metrics):
    items = [
        image_record("a.png"),
        image_record("b.png", correct=True, predicted_class="apple"),
        image_record("c.png", ious={"dgl@conv5_3": 0.3, "cam@add": 0.2}, cases=PARTS),
    ]
    page = report(tmp_path, metrics, items)
    assert "apple \u2717 wrong predicted banana, 87.6 % a.png dgl@conv5_3 0.71" in page.words
    assert "apple \u2713 right predicted apple, 87.6 % b.png" in page.words
    assert "c.png dgl@conv5_3 0.30, part" in page.words
    assert page.index[0] == {"c": 0, "k": 0, "i": [0.71, None], "r": [1, -1], "f": [0, -1]}


def test_maps_of_others_have_no_model(tmp_path, metrics):
    """What the page of `dgl evaluate --maps` has."""
    keys = ("versions", "seed", "data", "protocols")
    metrics = {key: metrics[key] for key in keys}
    del metrics["protocols"]["fixed_threshold"]
    page = report(tmp_path, dict(metrics, errors=1))
    assert "photos5, val: 163 images" in page.words and "1 image could not be read." in page.words
    assert page.headings == ["Protocol: wsolevaluation", "Literature"]


def test_an_image_that_is_not_there(tmp_path, metrics):
    with pytest.raises(UserError, match="gone.png"):
        write_report(str(tmp_path), metrics, RUN, [image_record("gone.png")])
