"""The record of the speed benchmark: each section replaces only its own part."""

import pytest
from refusals import refusal
from trees import contents

from benchmarks.speed import __main__ as command
from benchmarks.speed import machine, record, sections


class Section:
    """A section that measures whatever it is made with."""

    def __init__(self, value):
        self.value = value

    def measure(self, options):
        return {"value": self.value, "asked": options.rounds}

    def table(self, section):
        return "| {} |".format(section["value"])


@pytest.fixture
def two(monkeypatch):
    """Two sections, by name; the process keeps its cores."""
    made = {"one": Section(1), "two": Section(2)}
    monkeypatch.setattr(sections, "names", lambda: sorted(made))
    monkeypatch.setattr(sections, "load", made.get)
    monkeypatch.setattr(machine, "keep_to", lambda threads: None)
    return made


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "results.json")


def test_a_section_measured_again_replaces_its_own_part_alone(two, out):
    command.main(["--out", out])
    before = record.read(out)
    two["one"].value, two["two"].value = 10, 20
    command.main(["--out", out, "--only", "two", "--rounds", "3"])
    after = record.read(out)
    assert after["one"] == before["one"] and after["one"]["value"] == 1
    assert (after["two"]["value"], after["two"]["asked"], after["two"]["rounds"]) == (20, 3, 3)
    assert list(after) == ["one", "two"]


def test_table_measures_nothing(two, out, tmp_path, capsys):
    command.main(["--out", out])
    before = contents(tmp_path)
    capsys.readouterr()
    two["one"].value = 10
    command.main(["--out", out, "--table"])
    assert capsys.readouterr().out.split("\n")[0] == "| 1 |"
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["", "{}", "\xff"])
def test_another_file_is_not_written_over(two, tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text, encoding="latin-1")
    assert "results.json: expected a record" in refusal(command.main, ["--out", str(path)])
    assert path.read_text(encoding="latin-1") == text
