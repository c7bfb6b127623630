"""docs/security.md has the figures of the record, and the limits that the code has."""

import json
import os

import pytest

from dgl.data import annotations, image_io, sample, text_files
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
        f"{image_io.PIXEL_LIMIT // 1000000:,} megapixels",
        f"{image_io.MOST_SCANS:,} scans",
        f"{text_files.MAX_TEXT_BYTES >> 20:,} MiB a list",
        f"{text_files.MAX_LINE_BYTES >> 10:,} KiB a line",
        f"{sample.MAX_CLASSES:,} classes",
        f"{annotations.MAX_XML_BYTES >> 20:,} MiB an XML file",
        f"{annotations.MAX_LABELME_BYTES >> 20:,} MiB a file of labelme",
        f"{model_card.MOST_SIDE:,} pixels a side",
        f"{SECONDS:,} s a call",
        f"{SECONDS_LARGEST:,} s with the largest inputs",
        f"{MEGABYTES:,} MB",
    ],
)
def test_limits_are_those_of_the_code(page, text):
    assert text in page
