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
    """Collect tags, addresses and text, and check that tags are closed in order."""

    def __init__(self, text):
        HTMLParser.__init__(self)
        self.open, self.tags, self.addresses, self.ids, self.text = [], [], [], [], []
        self.headings, self.scripts, self.attributes = [], [], []
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
        assert tag != "img" or attrs["alt"]
        if tag == "script":
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
    parts = [RUN["command"], "numpy 1.26.4", "model.npz", "11.9 % [7.4, 17.2]", "time 3 min 12 s"]
    parts += ["norm bn", "vgg on photos5, val: 163 images, 5 classes"]
    assert not [part for part in parts if part not in full[0].words]


def test_all_parts(full):
    page, folder, gallery = full
    assert "; ".join(page.headings) == (
        "Protocol: Fixed threshold; Protocol: wsolevaluation; Selection; Alpha at conv5_2; "
        "Failure cases; Images; Literature"
    )
    anchors = [address[1:] for address in page.addresses if address.startswith("#")]
    assert len(anchors) == 7 and set(anchors) <= set(page.ids)
    assert "dgl@add cam@add BoxAcc +3.1 \u22121.0 to +7.2 0.120" in page.words
    assert "\u221212.4 \u221217.3 to \u22127.9 < 0.001" in page.words
    assert '<td class="best"><b>' in (folder / "index.html").read_text(encoding="utf-8")
    assert page.tags.count("img") == len(gallery) + len(os.listdir(str(folder / "plots")))


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
    cases = {"x": "right", "y": None}
    item = dict(true_class="apple", probability=0.876, ious={"x": 0.71, "y": None}, cases=cases)
    wrong = dict(item, id="a", file="a.png", correct=False, predicted_class="banana")
    right = dict(item, id="b", file="b.png", correct=True, predicted_class="apple")
    right.update(ious={"x": 0.3, "y": 0.2}, cases={"x": "part", "y": "part"})
    page = report(tmp_path, metrics, [wrong, right])
    assert "apple \u2717 wrong predicted banana, 87.6 % a x 0.71" in page.words
    assert "apple \u2713 right predicted apple, 87.6 % b x 0.30, part" in page.words
    assert json.loads(page.scripts[0])[0]["i"] == [0.71, None]


def test_maps_of_others_have_no_model(tmp_path, metrics):
    """What the page of `dgl evaluate --maps` has."""
    keys = ("versions", "seed", "data", "protocols")
    metrics = {key: metrics[key] for key in keys}
    del metrics["protocols"]["fixed_threshold"]
    page = report(tmp_path, dict(metrics, errors=1))
    assert "photos5, val: 163 images" in page.words and "1 image could not be read." in page.words
    assert page.headings == ["Protocol: wsolevaluation", "Literature"]


def test_an_image_that_is_not_there(tmp_path, metrics):
    item = sample_report(tmp_path, LAYERS, METHODS[:2], images=1)[2][0]
    with pytest.raises(UserError, match="gone.png"):
        write_report(str(tmp_path), metrics, RUN, [dict(item, file="gone.png")])
