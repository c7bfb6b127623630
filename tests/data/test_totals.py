"""The published sizes of the data sets."""

import subprocess
import sys

import pytest

from dgl.data import split_totals as totals
from dgl.errors import UserError


def test_classes_by_the_name_of_the_set():
    assert totals.CLASSES == {"cub": 200, "imagenet": 1000}


def test_the_module_needs_no_tensorflow(root):
    code = "import dgl.data.split_totals, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.call([sys.executable, "-c", code], cwd=root) == 0


@pytest.mark.parametrize(
    "found, expected, nearly",
    [(98, 100, True), (97, 100, False), (102, 100, True), (103, 100, False), (0, 0, True)],
)
def test_is_nearly(found, expected, nearly):
    assert totals.is_nearly(found, expected) is nearly


def test_check_total():
    totals.check_total("d/a.txt", "pictures", 5, 5)
    with pytest.raises(UserError, match=r"^d/a\.txt: 4 images; expected 5 in the full set$"):
        totals.check_total("d/a.txt", "pictures", 4, 5)
