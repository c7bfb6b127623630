"""The report page: well-formed, escaped, self-contained, best values bold, protocols apart."""

import base64
import copy
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sample_report import METHODS, RUN, sample_report

from dgl.errors import UserError
from dgl.predict.overlay import write_image
from dgl.report.page import LITERATURE, write_report

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

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name) for name, _ in attrs]
        attrs = dict(attrs)
        self.tags.append(tag)
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img":
            self.alts.append(attrs["alt"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append(["", False])
        if tag == "b" and "td" in self.open:
            self.tables[-1][-1][-1][1] = True
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        if "script" in self.open:
            self.scripts[-1] += data
            return
        self.text.append(data)
        if "h2" in self.open:
            self.headings.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1][0] += data

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    @property
    def index(self):
        return json.loads(self.scripts[0])


def fixed(method, layer, gt_known, top1_loc):
    return {"method": method, "layer": layer, "gt_known": gt_known, "top1_loc": top1_loc}


def wsol(method, layer, value):
    return {
        "method": method,
        "layer": layer,
        "max_box_acc": value,
        "best_threshold": 0.35,
        "max_box_acc_v2": value - 1,
        "max_box_acc_v2_per_iou": {"30": value + 10, "50": value, "70": value - 20},
        "thresholds": [0.0, 0.5],
        "curve": [value, 1.0],
    }


METRICS = {
    "versions": {"numpy": "1.2.3"},
    "seed": 7,
    "model": {"mode": "vgg", "load": "model-1", "image_size": 224, "classes": 5, "alpha": 10.0},
    "data": {"name": "five", "layout": "imagenet", "split": "val", "images": 163},
    "classification": {"top1_error": 12.34, "top1_error_interval": [8.0, 17.0]},
    "protocols": {
        "fixed_threshold": {
            "threshold": 0.2,
            "iou": 0.5,
            "geometry": "resized to 256, center crop 224",
            "rows": [fixed("cam", "add", 44.2, 41.04), fixed("dgl", "conv5_3", 54.6, 40.96)],
        },
        "wsolevaluation": {
            "step": 0.01,
            "geometry": "squashed to 224 x 224",
            "rows": [wsol("cam", "add", 44.2), wsol("dgl", "conv5_3", 54.6)],
        },
    },
}


def image_record(name, **changes):
    item = {
        "file": "gallery/" + name,
        "id": name,
        "true_class": "apple",
        "predicted_class": "banana",
        "probability": 0.876,
        "correct": False,
        "ious": {"dgl@conv5_3": 0.71, "cam@add": None},
        "cases": {"dgl@conv5_3": "right", "cam@add": None},
    }
    item.update(changes)
    return item


def report(folder, metrics=METRICS, gallery=(), run=RUN):
    for item in gallery:
        path = os.path.join(str(folder), *item["file"].split("/"))
        write_image(path, np.zeros((4, 4, 3), np.uint8))
    index = write_report(str(folder), metrics, run, list(gallery))
    assert index == os.path.join(str(folder), "index.html")
    with open(index, encoding="utf-8") as stream:
        return Page(stream.read())


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The page of an evaluation that has every part, with its folder and record."""
    folder = tmp_path_factory.mktemp("full")
    metrics, run, gallery = sample_report(folder, LAYERS, METHODS[:3], images=6)
    write_report(str(folder), metrics, run, gallery)
    with open(str(folder / "index.html"), encoding="utf-8") as stream:
        return Page(stream.read()), folder, metrics, gallery


def test_what_was_run_is_on_the_page(quick_charts, tmp_path):
    page = report(tmp_path)
    for part in (
        RUN["command"],
        "numpy 1.2.3",
        "model-1",
        "vgg on five, val: 163 images, 5 classes",
        "12.3 % [8.0, 17.0]",
        "seed 7",
        "time 3 min 12 s",
        "2024-05-01 10:00:00",
        "alpha 10",
    ):
        assert part in page.words
    assert "Top-5" not in page.words


def test_best_values_are_bold(quick_charts, tmp_path):
    page = report(tmp_path)
    fixed_rows, wsol_rows = page.tables[0][1:], page.tables[1][1:]
    # 41.04 and 40.96 print the same, so neither is better to a reader.
    assert fixed_rows[0][2:] == [["44.2", False], ["41.0", True]]
    assert fixed_rows[1][2:] == [["54.6", True], ["41.0", True]]
    assert [cell[1] for cell in wsol_rows[0]] == [False] * 8
    assert [cell[1] for cell in wsol_rows[1]] == [False, False, True, False] + [True] * 4


def test_all_parts(full):
    page, folder, _, gallery = full
    assert page.headings == [
        "Protocol: Fixed threshold",
        "Protocol: wsolevaluation",
        "Selection",
        "Alpha at conv5_2",
        "Failure cases",
        "Images",
        "Literature",
    ]
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
    page, folder, _, gallery = full
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


def test_nothing_from_outside_becomes_markup(quick_charts, tmp_path):
    metrics, run, gallery = sample_report(tmp_path, LAYERS, METHODS[:2], images=1)
    before = report(tmp_path, metrics, gallery, run)
    hostile = copy.deepcopy(metrics)
    for part in ("model", "data", "versions"):
        hostile[part] = {key + SCRIPT: SCRIPT for key in hostile[part]}
    hostile["seed"] = hostile["selection"]["split"] = hostile["selection"]["rule"] = SCRIPT
    hostile["alpha"]["layer"] = SCRIPT
    for protocol in hostile["protocols"].values():
        protocol["geometry"] = SCRIPT
        for pair in protocol["comparisons"]:
            pair["a"] = pair["b"] = pair["figure"] = SCRIPT
    for rows in [p["rows"] for p in hostile["protocols"].values()] + [hostile["selection"]["rows"]]:
        for row in rows:
            row["layer"] += SCRIPT
            row["method"] += SCRIPT
    item = dict(gallery[0], id=SCRIPT, true_class=SCRIPT, predicted_class=SCRIPT)
    item["ious"] = {key + SCRIPT: value for key, value in item["ious"].items()}
    item["cases"] = {key + SCRIPT: value for key, value in item["cases"].items()}
    hostile_run = dict(run, command=SCRIPT, started=SCRIPT)
    page = report(tmp_path, hostile, [item], hostile_run)
    assert page.scripts[1] == before.scripts[1] and len(page.scripts) == len(before.scripts) == 2
    assert set(page.tags) == set(before.tags)
    assert set(page.attributes) == set(before.attributes)
    assert "".join(page.text).count(SCRIPT) >= 40


def test_images_say_class_prediction_verdict_and_ious(quick_charts, tmp_path):
    items = [
        image_record("a.png"),
        image_record("b.png", correct=True, predicted_class="apple"),
        image_record("c.png", ious={"dgl@conv5_3": 0.3}, cases={"dgl@conv5_3": "part"}),
    ]
    page = report(tmp_path, gallery=items)
    assert "apple \u2717 wrong predicted banana, 87.6 % a.png dgl@conv5_3 0.71" in page.words
    assert "apple \u2713 right predicted apple, 87.6 % b.png" in page.words
    assert "c.png dgl@conv5_3 0.30, part" in page.words
    assert page.index[0] == {"c": 0, "k": 0, "i": [0.71, None], "r": [1, -1], "f": [0, -1]}


def test_images_without_a_model(quick_charts, tmp_path):
    unknown = {"predicted_class": None, "probability": None, "correct": None, "cases": {}}
    metrics = {key: METRICS[key] for key in ("protocols", "data")}
    page = report(tmp_path, metrics, [image_record("a.png", **unknown)], run={})
    assert "predicted banana" not in page.words and "wrong" not in page.headings
    assert "Classification" not in page.text and "Failure cases" not in page.headings
    assert page.index[0]["k"] == -1
    assert "five, val: 163 images" in page.words


@pytest.mark.parametrize("protocols", [None, {}, {"fixed_threshold": None}])
def test_no_protocol(quick_charts, tmp_path, protocols):
    with pytest.raises(UserError, match="protocols"):
        write_report(str(tmp_path), dict(METRICS, protocols=protocols), RUN, [])
    assert not (tmp_path / "index.html").exists()


def test_an_image_that_is_not_there(quick_charts, tmp_path):
    with pytest.raises(UserError, match="gone.png"):
        write_report(str(tmp_path), METRICS, RUN, [image_record("gone.png")])


def test_literature_figures_are_plausible():
    keys = [(result.method, result.backbone, result.data_set) for result in LITERATURE]
    assert len(set(keys)) == len(keys) == 10
    for result in LITERATURE:
        assert result.data_set in ("CUB", "ILSVRC") and "DGL" not in result.method
        # Top-1 localization also requires the right class.
        assert 0 < result.top1_loc < (result.gt_known or 100)
    found = dict(zip(keys, LITERATURE))
    assert found["CAM", "VGG16", "ILSVRC"][3:] == (42.8, 59.0)
    assert found["ADL", "VGG16", "CUB"][3:] == (52.4, 75.4)
