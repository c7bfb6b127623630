"""The report page: well formed, escaped, complete on disk, best values bold."""

import copy
import os
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from dgl.errors import UserError
from dgl.rendering.overlay import write_image
from dgl.rendering.page import best_cells, write_report

SCRIPT = "<script>alert('x')</script>"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, addresses, text and tables, and checks that tags are closed in order."""

    def __init__(self, text):
        HTMLParser.__init__(self)
        self.open, self.tags, self.addresses, self.tables = [], [], [], []
        self.text, self.alts, self.headings, self.headers = [], [], [], 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
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
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text.append(data)
        if "h2" in self.open:
            self.headings.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1][0] += data


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
    "command": "evaluate.py --mode vgg --load 'a & b'",
    "versions": {"numpy": "1.2.3"},
    "model": {
        "mode": "vgg",
        "load": "model-1",
        "image_size": 224,
        "classes": 5,
        "width": 1.0,
        "norm": "none",
    },
    "data": {"name": "five", "layout": "imagenet", "split": "val", "images": 163},
    "classification": {"top1_error": 12.34},
    "protocols": {
        "fixed_threshold": {
            "threshold": 0.2,
            "iou": 0.5,
            "geometry": "resized to 256, centre crop 224",
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
    }
    item.update(changes)
    return item


def report(folder, metrics=METRICS, gallery=()):
    for item in gallery:
        path = os.path.join(str(folder), *item["file"].split("/"))
        write_image(path, np.zeros((4, 4, 3), np.uint8))
    index = write_report(str(folder), metrics, list(gallery))
    assert index == os.path.join(str(folder), "index.html")
    with open(index, encoding="utf-8") as stream:
        return Page(stream.read())


def test_what_was_run_is_on_the_page(tmp_path):
    page = report(tmp_path)
    text = " ".join(" ".join(page.text).split())
    for part in (METRICS["command"], "numpy 1.2.3", "model-1", "five", "163", "12.3 %"):
        assert part in text
    assert "Top-5" not in text


def test_protocols_stand_apart_under_their_names(tmp_path):
    page = report(tmp_path)
    assert page.headings[:2] == ["Protocol: Fixed threshold", "Protocol: wsolevaluation"]
    heads = [[cell[0] for cell in table[0]] for table in page.tables]
    assert heads == [
        ["Method", "Layer", "GT-known", "Top-1 Loc"],
        ["Method", "Layer", "MaxBoxAcc", "at threshold", "MaxBoxAccV2"]
        + ["V2 at IoU 0.30", "V2 at IoU 0.50", "V2 at IoU 0.70"],
    ]


def test_best_values_are_bold(tmp_path):
    page = report(tmp_path)
    fixed_rows, wsol_rows = page.tables[0][1:], page.tables[1][1:]
    # 41.04 and 40.96 print the same, so neither is better to a reader.
    assert fixed_rows[0][2:] == [["44.2", False], ["41.0", True]]
    assert fixed_rows[1][2:] == [["54.6", True], ["41.0", True]]
    assert [cell[1] for cell in wsol_rows[0]] == [False] * 8
    assert [cell[1] for cell in wsol_rows[1]] == [False, False, True, False] + [True] * 4


def test_best_cells_pass_over_missing_values():
    rows = [{"a": None}, {"a": float("nan")}, {}, {"a": 9.96}, {"a": 10.0}, {"a": 9.5}]
    cells = best_cells(rows, [("a", "A", 1, True)])
    texts = [line[0]["text"] for line in cells]
    assert texts == ["\u2013", "\u2013", "\u2013", "10.0", "10.0", "9.5"]
    assert [line[0]["best"] for line in cells] == [False, False, False, True, True, False]
    assert best_cells([{"a": 0.3}], [("a", "A", 2, False)]) == [[{"text": "0.30", "best": False}]]


def test_nothing_from_outside_becomes_markup(tmp_path):
    metrics = copy.deepcopy(METRICS)
    metrics["command"] = SCRIPT
    metrics["data"]["name"] = SCRIPT
    metrics["protocols"]["fixed_threshold"]["geometry"] = SCRIPT
    metrics["protocols"]["fixed_threshold"]["rows"][0]["layer"] = SCRIPT
    hostile = picture("a.jpg", id='"><img src=x onerror=y>', true_class=SCRIPT)
    hostile["predicted_class"] = SCRIPT
    hostile["ious"] = {SCRIPT: 0.5}
    page = report(tmp_path, metrics, [hostile])
    assert "script" not in page.tags
    assert "x" not in page.addresses
    assert "".join(page.text).count(SCRIPT) >= 7


@pytest.mark.parametrize(
    "name", ["a.png", "b #1?.png", "100%.png", "<b>'\".png", "\u00fc\u4e2d.png"]
)
def test_every_address_is_a_file_beside_the_page(tmp_path, name):
    page = report(tmp_path, gallery=[picture(name)])
    assert "gallery/" + name in [unquote(address) for address in page.addresses]
    assert len(page.addresses) == 4
    for address in page.addresses:
        assert ":" not in address and not address.startswith("/")
        assert not set(address) & set("#?")
        assert os.path.isfile(os.path.join(str(tmp_path), unquote(address)))


def test_pictures_say_class_prediction_verdict_and_ious(tmp_path):
    items = [picture("a.png"), picture("b.png", correct=True, predicted_class="apple")]
    page = report(tmp_path, gallery=items)
    text = " ".join(" ".join(page.text).split())
    assert "apple \u2717 wrong predicted banana, 87.6 % a.png" in text
    assert "apple \u2713 right predicted apple, 87.6 % b.png" in text
    assert "\u2713 dgl@conv5_3 0.71" in text
    assert all(page.alts)


def test_one_protocol_and_top5(tmp_path):
    metrics = copy.deepcopy(METRICS)
    del metrics["protocols"]["wsolevaluation"]
    metrics["classification"]["top5_error"] = 3.0
    for row in metrics["protocols"]["fixed_threshold"]["rows"]:
        row["top5_loc"] = 50.0
    page = report(tmp_path, metrics)
    assert [cell[0] for cell in page.tables[0][0]][-1] == "Top-5 Loc"
    assert len(page.tables) == 1
    assert "Top-5 error" in page.text


@pytest.mark.parametrize("missing", ["command", "model", "data", "versions", "protocols"])
def test_incomplete_metrics(tmp_path, missing):
    metrics = {key: value for key, value in METRICS.items() if key != missing}
    with pytest.raises(UserError, match=missing):
        write_report(str(tmp_path), metrics, [])
    assert not (tmp_path / "index.html").exists()


def test_a_picture_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="gone.png"):
        write_report(str(tmp_path), METRICS, [picture("gone.png")])


def test_no_network_and_no_script(tmp_path):
    report(tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "http" not in text and "@import" not in text and "url(" not in text
