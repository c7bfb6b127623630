"""The figure of photographs: whose settings it takes, and that it is drawn."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sklearn")
from benchmarks import photographs
from dgl.backbones import get_backbone


def test_settings_are_those_of_the_record():
    record = {
        "chosen": {
            "wsolevaluation": [
                {"method": name, "layers": ["head", "x"], "thresholds": [0.25, 0.5]}
                for name in reversed(photographs.SHOWN)
            ]
        }
    }
    found = photographs.selected(record, "efficientnet_lite0")
    assert found.pop("dgl") == get_backbone("efficientnet_lite0").localize
    assert found == dict.fromkeys(photographs.SHOWN[:-1], ("head", 0.25, "minmax"))


def test_the_figure_and_its_page(tmp_path):
    out, page = tmp_path / "figure.png", tmp_path / "index.html"
    assert photographs.main(["--out", str(out), "--page", str(page), "--rows", "1"]) == 0
    with Image.open(str(out)) as drawn:
        pixels = np.asarray(drawn)
    assert pixels.shape[1] > pixels.shape[0] > 100 and pixels.std() > 10
    assert 'src="figure.png"' in page.read_text()


def test_the_record_has_a_threshold_for_every_method():
    with open(photographs.RECORD.format("efficientnet_lite0"), encoding="utf-8") as stream:
        for one in photographs.selected(json.load(stream), "efficientnet_lite0").values():
            assert one.layer and 0 < one.threshold < 1
