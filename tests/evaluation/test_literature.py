"""The literature's figures: unique, plausible, none of DGL's own, and said to be from a second hand."""

from dgl.report.page import LITERATURE, SOURCE


def test_figures():
    keys = [(result.method, result.backbone, result.data_set) for result in LITERATURE]
    assert len(set(keys)) == len(keys) == 10
    for result in LITERATURE:
        assert result.data_set in ("CUB", "ILSVRC")
        assert "DGL" not in result.method
        # A right class is asked for on top of the right box.
        assert 0 < result.top1_loc < (result.gt_known or 100)
    found = dict(zip(keys, LITERATURE))
    assert found["CAM", "VGG16", "ILSVRC"][3:] == (42.8, 59.0)
    assert found["I2C", "InceptionV3", "ILSVRC"][3:] == (53.1, 68.5)
    assert found["ADL", "VGG16", "CUB"][3:] == (52.4, 75.4)


def test_source():
    assert "Secondary source" in SOURCE
