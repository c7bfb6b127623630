"""The README's result tables are the recorded ones, to the digit."""

import json
import os

import pytest

FIGURES = ("gt_known", "top1_loc", "max_box_acc", "max_box_acc_v2")


def _tables(root):
    """(heading words, rows of cells) of every table with a DGL row."""
    with open(os.path.join(root, "README.md"), encoding="utf-8") as stream:
        blocks = stream.read().split("\n\n")
    for block in blocks:
        if "| DGL |" in block:
            lines = [
                [c.strip(" *") for c in line.strip("|").split("|")] for line in block.split("\n")
            ]
            yield lines[0], lines[2:]


def _recorded(root, name):
    """(method, layer) -> figure -> mean, and the seeds of MaxBoxAcc where there are several."""
    with open(os.path.join(root, "benchmarks", "results", name), encoding="utf-8") as stream:
        protocols = json.load(stream)["protocols"]
    rows = {}
    for table in protocols.values():
        for row in table["rows"] if isinstance(table, dict) else table:
            cells = rows.setdefault((row["method"].upper(), row["layer"]), {})
            for figure in FIGURES:
                if figure in row:
                    several = isinstance(row[figure], dict)
                    cells[figure] = row[figure]["mean"] if several else row[figure]
                    if several and figure == "max_box_acc":
                        cells["by seed"] = row[figure]["seeds"]
    return rows


@pytest.mark.parametrize("position, name", [(0, "birds.json"), (1, "photos5.json")])
def test_tables_are_the_recorded_results(root, position, name):
    heading, lines = list(_tables(root))[position]
    recorded = _recorded(root, name)
    keys = {"GT-known": 0, "Top-1 Loc": 1, "MaxBoxAcc": 2, "MaxBoxAccV2": 3}
    assert {(line[0].strip(), line[1].strip()) for line in lines} == set(recorded)
    for line in lines:
        cells = dict(zip((h.strip() for h in heading), line))
        figures = recorded[cells["method"], cells["layer"]]
        for title, index in keys.items():
            assert cells[title] == "{:.1f}".format(figures[FIGURES[index]]), (line, title)
        if "by seed" in cells:
            assert cells["by seed"] == ", ".join("{:.1f}".format(v) for v in figures["by seed"])
