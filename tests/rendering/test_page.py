"""The report page: well formed, escaped, complete in one file, best values bold, protocols apart."""

import base64
import copy
import json
import os
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sample_report import METHODS, RUN, sample_report

from dgl.errors import UserError
from dgl.predict.overlay import write_image
from dgl.report import page as page_module
from dgl.report.page import LITERATURE, data_uri, png_width, write_report

SCRIPT = "</script><script>alert('x')</script><!--\"'"
VOID = {"meta", "img", "br", "link", "input", "hr"}
LAYERS = ["add", "conv5_3", "conv5_2"]


class Page(HTMLParser):
    """Collects tags, addresses, text and tables, and checks that tags are closed in order."""

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


def picture(name, **changes):
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


@pytest.fixture
def quick(monkeypatch):
    """Charts of one pixel: drawing them is most of the time that a page takes."""

    def save(figure, stream, **options):
        Image.new("RGB", (1, 1)).save(stream, "PNG")

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The page of an evaluation that has every part, with its folder and record."""
    folder = tmp_path_factory.mktemp("full")
    metrics, run, gallery = sample_report(folder, LAYERS, METHODS[:3], pictures=6)
    write_report(str(folder), metrics, run, gallery)
    with open(str(folder / "index.html"), encoding="utf-8") as stream:
        return Page(stream.read()), folder, metrics, gallery


def test_what_was_run_is_on_the_page(quick, tmp_path):
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


@pytest.mark.parametrize(
    "seconds, text",
    [(4.04, "4.0 s"), (59.9, "1 min 0 s"), (192, "3 min 12 s"), (7300, "2 h 1 min")],
)
def test_duration(quick, tmp_path, seconds, text):
    assert "time " + text in report(tmp_path, run={"seconds": seconds}).words


def test_protocols_stand_apart_under_their_names(quick, tmp_path):
    page = report(tmp_path)
    assert page.headings == ["Protocol: Fixed threshold", "Protocol: wsolevaluation", "Literature"]
    heads = [[cell[0] for cell in table[0]] for table in page.tables]
    assert heads == [
        ["Method", "Layer", "GT-known", "Top-1 Loc"],
        ["Method", "Layer", "MaxBoxAcc", "at threshold", "MaxBoxAccV2"]
        + ["V2 at IoU 0.30", "V2 at IoU 0.50", "V2 at IoU 0.70"],
        ["Method", "Backbone", "Data set", "Top-1 Loc", "GT-known"],
    ]


def test_best_values_are_bold(quick, tmp_path):
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
        "Pictures",
        "Literature",
    ]
    anchors = [address[1:] for address in page.addresses if address.startswith("#")]
    assert len(anchors) == 7 and set(anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    note = "2 images could not be read. 1 true box reached over its image and was clipped."
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


def test_charts_have_the_same_scale_on_the_page(tmp_path):
    for width in (300, 1600):
        path = str(tmp_path / f"{width}.png")
        write_image(path, np.zeros((5, width, 3), np.uint8))
        assert png_width(path) == width


def test_a_large_evaluation_stays_light(quick, tmp_path):
    metrics, run, gallery = sample_report(tmp_path, pictures=24)
    write_report(str(tmp_path), metrics, run, gallery)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert len(metrics["protocols"]["wsolevaluation"]["rows"]) > 90
    assert len(re.sub(r"base64,[^\"]*", "", text)) < 250000


def test_nothing_from_outside_becomes_markup(quick, tmp_path):
    metrics, run, gallery = sample_report(tmp_path, LAYERS, METHODS[:2], pictures=1)
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


@pytest.mark.parametrize(
    "name", ["a b.png", "b #1?.png", "100%.png", "<b>'\".png", "\u00fc\u4e2d.png"]
)
def test_pictures_of_any_name_are_embedded(quick, tmp_path, name):
    page = report(tmp_path, gallery=[picture(name)])
    data = (tmp_path / "gallery" / name).read_bytes()
    assert data in [base64.b64decode(a.split(",", 1)[1]) for a in page.addresses if "base64" in a]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_names_that_are_no_text(quick, tmp_path):
    item = picture("a.png", id="\udce9", true_class="caf\udce9")
    page = report(tmp_path, gallery=[item])
    assert "caf?" in page.words


def test_pictures_say_class_prediction_verdict_and_ious(quick, tmp_path):
    items = [
        picture("a.png"),
        picture("b.png", correct=True, predicted_class="apple"),
        picture("c.png", ious={"dgl@conv5_3": 0.3}, cases={"dgl@conv5_3": "part"}),
    ]
    page = report(tmp_path, gallery=items)
    assert "apple \u2717 wrong predicted banana, 87.6 % a.png dgl@conv5_3 0.71" in page.words
    assert "apple \u2713 right predicted apple, 87.6 % b.png" in page.words
    assert "c.png dgl@conv5_3 0.30, part" in page.words
    assert page.index[0] == {"c": 0, "k": 0, "i": [0.71, None], "r": [1, -1], "f": [0, -1]}


def test_pictures_without_a_model(quick, tmp_path):
    unknown = {"predicted_class": None, "probability": None, "correct": None, "cases": {}}
    metrics = {key: METRICS[key] for key in ("protocols", "data")}
    page = report(tmp_path, metrics, [picture("a.png", **unknown)], run={})
    assert "predicted banana" not in page.words and "wrong" not in page.headings
    assert "Classification" not in page.text and "Failure cases" not in page.headings
    assert page.index[0]["k"] == -1
    assert "five, val: 163 images" in page.words


def test_one_protocol_and_top5(quick, tmp_path):
    metrics = copy.deepcopy(METRICS)
    del metrics["protocols"]["wsolevaluation"]
    metrics["classification"]["top5_error"] = 3.0
    for row in metrics["protocols"]["fixed_threshold"]["rows"]:
        row["top5_loc"] = 50.0
    page = report(tmp_path, metrics)
    assert [cell[0] for cell in page.tables[0][0]][-1] == "Top-5 Loc"
    assert page.headings == ["Protocol: Fixed threshold", "Literature"]
    assert "Top-5 error" in page.text


def test_protocols_alone_make_a_page(quick, tmp_path):
    page = report(tmp_path, {"protocols": METRICS["protocols"]}, run=None)
    assert page.headings[:2] == ["Protocol: Fixed threshold", "Protocol: wsolevaluation"]
    assert "pre" not in page.tags and "script" not in page.tags


def test_literature_is_apart_and_said_to_be_so(full):
    page = full[0]
    assert "not results of this evaluation" in page.words and "not comparable" in page.words
    assert "Secondary source" in page.words
    rows = [[cell[0] for cell in row] for row in page.tables[-1][1:]]
    assert len(rows) == len(LITERATURE)
    assert ["SPG", "InceptionV3", "CUB", "46.6", "\u2013"] in rows
    assert not any(cell[1] for row in page.tables[-1] for cell in row)


@pytest.mark.parametrize("protocols", [None, {}, {"fixed_threshold": None}])
def test_no_protocol(quick, tmp_path, protocols):
    with pytest.raises(UserError, match="protocols"):
        write_report(str(tmp_path), dict(METRICS, protocols=protocols), RUN, [])
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize("key", ["method", "layer"])
def test_a_row_of_no_entry(quick, tmp_path, key):
    metrics = copy.deepcopy(METRICS)
    del metrics["protocols"]["fixed_threshold"]["rows"][0][key]
    with pytest.raises(UserError, match=key):
        write_report(str(tmp_path), metrics, RUN, [])


def test_a_picture_that_is_not_there(quick, tmp_path):
    with pytest.raises(UserError, match="gone.png"):
        write_report(str(tmp_path), METRICS, RUN, [picture("gone.png")])


def test_a_file_that_is_no_picture(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"<svg>")
    with pytest.raises(UserError, match="a.jpg"):
        data_uri(str(tmp_path / "a.jpg"))


def test_every_template_is_used():
    folder = page_module._TEMPLATES
    with open(os.path.join(folder, "report.html.j2"), encoding="utf-8") as stream:
        text = stream.read()
    others = sorted(name for name in os.listdir(folder) if name != "report.html.j2")
    assert others == sorted(re.findall(r'include "([^"]+)"', text))
