"""The tables of docs/results.md and docs/speed.md are the recorded ones, to the digit."""

import importlib.util
import os

import pytest

from benchmarks.speed import record, sections

PHOTOS = ["photos5_vgg", "photos5_resnet50", "photos5_resnet50se", "photos5_inceptionv3"]


@pytest.fixture(scope="module")
def tables(root):
    path = os.path.join(root, "benchmarks", "tables.py")
    spec = importlib.util.spec_from_file_location("benchmark_tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def readme(root):
    texts = []
    for name in ("results", "speed"):
        with open(os.path.join(root, "docs", name + ".md"), encoding="utf-8") as stream:
            texts.append(stream.read())
    return "\n".join(texts)


def recorded(root, tables, *names):
    found = [tables.read(os.path.join(root, "benchmarks", "results", n + ".json")) for n in names]
    return found[0] if len(found) == 1 else found


@pytest.mark.parametrize(
    "table, names",
    [
        ("checkpoint_table", ["birds"]),
        ("speed_table", ["evaluator_speed"]),
        ("methods_table", ["photos5_vgg"]),
        ("seeds_table", ["photos5_vgg"]),
        ("alpha_table", ["photos5_vgg"]),
        ("methods_table", ["birds_vgg"]),
        ("backbones_table", PHOTOS),
    ],
)
def test_tables_are_the_recorded_results(root, tables, readme, table, names):
    expected = getattr(tables, table)(recorded(root, tables, *names))
    assert len(expected.split("\n")) > 3
    assert expected in readme


@pytest.mark.parametrize("name", ["evaluator_speed", "birds_vgg"] + PHOTOS)
def test_the_command_of_a_record_is_in_the_readme(root, tables, readme, name):
    command = recorded(root, tables, name)["command"]
    assert " ".join(command.split()) in " ".join(readme.replace("\\\n", " ").split())


def test_the_matrix_is_drawn_from_its_record(root, tables, tmp_path):
    path = str(tmp_path / "matrix.png")
    tables.draw_matrix(recorded(root, tables, "photos5_vgg"), path)
    assert os.path.getsize(path) > 10000


def test_speed_tables_are_the_recorded_results(root, readme):
    measured = record.read(os.path.join(root, "benchmarks", "results.json"))
    assert "peers" in measured
    for name, section in measured.items():
        expected = sections.load(name).table(section)
        assert len(expected.split("\n")) > 3
        assert expected in readme
        assert "    " + section["command"] + "\n" in readme
