"""Records of the benchmarks, and tables in Markdown."""

import json
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def table(rows):
    """Lines of a Markdown table; the first row is the heading."""
    rows = [rows[0], ["---"] * len(rows[0])] + rows[1:]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def record_of(name):
    path = os.path.join(ROOT, "benchmarks", "results", name + ".json")
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def tested(row):
    difference = "{:+.1f} ({:+.1f} to {:+.1f})".format(row["difference"], *row["interval"])
    return [row["a"], row["b"], difference, "{:.3f}".format(row["p_value"])]


def with_interval(row, key):
    return "{:.1f} ({:.1f} to {:.1f})".format(row[key], *row[key + "_interval"])
