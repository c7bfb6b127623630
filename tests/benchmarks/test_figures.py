"""Figures of the documentation: of the method, of photographs, of layers and alphas."""

import importlib
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks import docs_figures, method_figure
from dgl.backbones import get_backbone
from dgl.predict.overlay import PREDICTED_COLOR


@pytest.fixture(scope="module")
def photographs():
    pytest.importorskip("sklearn")
    return importlib.import_module("benchmarks.photographs")


def test_the_method_s_result_holds_the_box_of_the_map(tmp_path):
    score_map = np.zeros((8, 8))
    score_map[2:6, 4:7] = 5.0
    path = str(tmp_path / "figure.png")
    method_figure.draw(path, np.full((80, 80, 3), 120, np.uint8), score_map, 0.5)
    figure = cv2.imread(path)[..., ::-1].astype(int)
    red = abs(figure - PREDICTED_COLOR).max(axis=2) < 30
    # The last image spans 170 pixels from x = 1400, y = 405; half the height of the map's step
    # lies on the border between cells, eighths of the image.
    red[:, :1395] = False
    y, x = np.nonzero(red)
    found = np.array([x.min() - 1400, y.min() - 405, x.max() - 1400, y.max() - 405]) / 170.0
    np.testing.assert_allclose(found, np.array([4, 2, 7, 6]) / 8.0, atol=0.025)


def test_settings_of_photographs_are_those_of_the_record(photographs):
    rows = [
        {"method": name, "layers": ["head", "x"], "thresholds": [0.25, 0.5]}
        for name in reversed(photographs.SHOWN)
    ]
    record = {"chosen": {"wsolevaluation": rows}}
    found = photographs.selected(record, "efficientnet_lite0")
    assert found.pop("dgl") == get_backbone("efficientnet_lite0").localize
    assert found == dict.fromkeys(photographs.SHOWN[:-1], ("head", 0.25, "minmax"))


def test_photographs_and_their_page(photographs, tmp_path):
    out, page = tmp_path / "figure.png", tmp_path / "index.html"
    assert photographs.main(["--out", str(out), "--page", str(page), "--rows", "1"]) == 0
    with Image.open(str(out)) as drawn:
        pixels = np.asarray(drawn)
    assert pixels.shape[1] > pixels.shape[0] > 100 and pixels.std() > 10
    assert 'src="figure.png"' in page.read_text()


def test_layers_and_alphas(root, tmp_path):
    assert docs_figures.main(["--out", str(tmp_path)]) == 0
    columns = {
        "layers.jpg": 1 + len(docs_figures.LAYERS),
        "alpha.jpg": 2 + len(docs_figures.ALPHAS),
    }
    assert set(os.listdir(str(tmp_path))) == set(columns)
    for name, count in columns.items():
        with Image.open(str(tmp_path / name)) as drawn:
            with Image.open(os.path.join(root, "fig", name)) as kept:
                assert drawn.size == kept.size
            assert drawn.size[0] == 200 * count
            assert drawn.size[1] > 200 * len(docs_figures.IMAGES)
