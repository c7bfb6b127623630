"""The figures of the documentation are drawn by a command."""

import os

from PIL import Image

from benchmarks.docs_figures import ALPHAS, IMAGES, LAYERS, main


def test_both_figures_are_drawn(root, tmp_path):
    assert main(["--out", str(tmp_path)]) == 0
    assert sorted(os.listdir(str(tmp_path))) == ["alpha.jpg", "layers.jpg"]
    for name, columns in (("layers.jpg", 1 + len(LAYERS)), ("alpha.jpg", 2 + len(ALPHAS))):
        with Image.open(str(tmp_path / name)) as drawn:
            with Image.open(os.path.join(root, "fig", name)) as kept:
                assert drawn.size == kept.size
            assert drawn.size[0] == 200 * columns and drawn.size[1] > 200 * len(IMAGES)
