"""The figure of photographs: whose settings it takes, and that it is drawn."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sklearn")
from benchmarks import photographs


def test_settings_are_those_of_the_record():
    record = {
        "chosen": {
            "wsolevaluation": [
                {"method": name, "layers": ["head", "x"], "thresholds": [0.25, 0.5]}
                for name in reversed(photographs.SHOWN)
            ]
        }
    }
    assert photographs.selected(record) == dict.fromkeys(photographs.SHOWN, ("head", 0.25))


def test_the_figure_and_its_page(tmp_path):
    out, page = tmp_path / "figure.png", tmp_path / "index.html"
    assert photographs.main(["--out", str(out), "--page", str(page), "--rows", "1"]) == 0
    with Image.open(str(out)) as drawn:
        pixels = np.asarray(drawn)
    assert pixels.shape[1] > pixels.shape[0] > 100 and pixels.std() > 10
    assert 'src="figure.png"' in page.read_text()


def test_the_record_has_a_threshold_for_every_method():
    with open(photographs.RECORD.format("efficientnet_lite0"), encoding="utf-8") as stream:
        for layer, threshold in photographs.selected(json.load(stream)).values():
            assert layer and 0 < threshold < 1
