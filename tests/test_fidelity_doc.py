"""The table of docs/fidelity.md is the recorded measurement, to the digit."""

import os
import re


def recorded(root, name):
    """network -> layer index -> the differences of both pictures."""
    found = {}
    path = os.path.join(root, "benchmarks", "results", f"fidelity_{name}_kernels.txt")
    with open(path, encoding="utf-8") as stream:
        for line in stream.read().splitlines()[2:]:
            network, index, _, one, other, _ = line.split()
            found.setdefault(network, {})[int(index)] = (float(one), float(other))
    return found


def stated(root):
    """(network, range of layers, cells of both kinds of kernels) of every row."""
    with open(os.path.join(root, "docs", "fidelity.md"), encoding="utf-8") as stream:
        text = stream.read()
    for line in text.split("## A training step")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        numbers = re.findall(r"\d+", cells[1]) if len(cells) == 4 else []
        if numbers:
            first, last = (0, int(numbers[0]) - 1) if "all" in cells[1] else map(int, numbers)
            yield cells[0], range(first, last + 1), cells[2:]


def test_the_table_is_the_record(root):
    rows = list(stated(root))
    records = [recorded(root, name) for name in ("tensorflow", "onednn")]
    for network, layers in records[0].items():
        covered = [index for name, indices, _ in rows if name == network for index in indices]
        assert sorted(covered) == sorted(layers)
    for network, indices, cells in rows:
        for record, cell in zip(records, cells):
            largest = [max(record[network][i][picture] for i in indices) for picture in (0, 1)]
            assert cell == " / ".join(f"{v:.0e}".replace("e-0", "e-") for v in largest)
