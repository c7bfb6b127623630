"""docs/robustness.md has the figures of the record, and the limits that the code has."""

import json
import os

import pytest

from dgl.data import image_io, picture_headers, sample, voc_xml
from dgl.data.photos5 import labelme
from dgl.weights import model_card

from .guard import MEGABYTES, SECONDS, SECONDS_LARGEST
from .record import table


@pytest.fixture(scope="module")
def page(root):
    with open(os.path.join(root, "docs", "robustness.md"), encoding="utf-8") as stream:
        return stream.read()


@pytest.fixture(scope="module")
def record(root):
    path = os.path.join(root, "benchmarks", "results", "hostile.json")
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def test_the_page_has_the_record_s_table(page, record):
    assert table(record) in page


def test_the_record_has_no_fault(record):
    for part in ("loaders", "scripts"):
        for fault in ("tracebacks", "hangs", "crashes", "other_faults"):
            assert record[part][fault] == 0
        assert record[part]["inputs"] == sum(record[part]["inputs_by_kind"].values())
    assert [row for row in record["processes"] if row["fault"]] == []


@pytest.mark.parametrize(
    "text",
    [
        "{:,} megapixels".format(image_io.PIXEL_LIMIT // 1000000),
        "{:,} scans".format(picture_headers.MOST_SCANS),
        "{:,} KiB of Exif".format(picture_headers.MOST_EXIF >> 10),
        "{:,} MiB of comment".format(picture_headers.MOST_COMMENT >> 20),
        "{:,} MiB a list".format(sample.MAX_TEXT_BYTES >> 20),
        "{:,} KiB a line".format(sample.MAX_LINE_BYTES >> 10),
        "{:,} classes".format(sample.MAX_CLASSES),
        "{:,} MiB an XML file".format(voc_xml.MAX_BYTES >> 20),
        "{:,} MiB a file of labelme".format(labelme.MAX_BYTES >> 20),
        "{:,} pixels a side".format(model_card.MOST_SIDE),
        "{:,} s a call".format(SECONDS),
        "{:,} s with the largest inputs".format(SECONDS_LARGEST),
        "{:,} MB".format(MEGABYTES),
    ],
)
def test_limits_are_those_of_the_code(page, text):
    assert text in page
