"""The figure of the method: size, what the flags change in it, the box."""

import cv2
import numpy as np
import pytest

from benchmarks import method_figure
from dgl.predict.overlay import PREDICTED_COLOR


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    rng = np.random.RandomState(0)
    paths = {name: str(folder / name) for name in ("image.png", "map.npy")}
    cv2.imwrite(paths["image.png"], rng.randint(0, 256, (60, 90, 3)).astype(np.uint8))
    np.save(paths["map.npy"], rng.randn(14, 14))
    return paths


def test_with_and_without_an_image(tmp_path, files):
    plain, shown = str(tmp_path / "plain.png"), str(tmp_path / "shown.png")
    method_figure.main(["--out", plain])
    method_figure.main(["--out", shown, "--image", files["image.png"], "--map", files["map.npy"]])
    a, b = cv2.imread(plain).astype(int), cv2.imread(shown).astype(int)
    assert a.shape == b.shape == (630, 1600, 3)
    changed = (abs(a - b).max(axis=2) > 0).any(axis=0)
    # The input at the left and the two images at the right differ, the equations do not.
    assert changed[30:220].mean() > 0.9 and changed[1180:1570].mean() > 0.8
    assert not changed[240:1170].any()


def test_result_holds_the_box_of_the_map(tmp_path):
    image = np.full((80, 80, 3), 120, np.uint8)
    score_map = np.zeros((8, 8))
    score_map[2:6, 4:7] = 5.0
    path = str(tmp_path / "figure.png")
    method_figure.draw(path, image, score_map, 0.5)
    figure = cv2.imread(path)[..., ::-1].astype(int)
    red = abs(figure - PREDICTED_COLOR).max(axis=2) < 30
    # The last image spans 170 pixels from x = 1400, y = 405; half the height of the map's step
    # lies on the border between cells, eighths of the image.
    red[:, :1395] = False
    y, x = np.nonzero(red)
    found = np.array([x.min() - 1400, y.min() - 405, x.max() - 1400, y.max() - 405]) / 170.0
    np.testing.assert_allclose(found, np.array([4, 2, 7, 6]) / 8.0, atol=0.025)
