"""A weight file format is what one decorated function reads."""

import numpy as np
import pytest

from dgl.weights import open_checkpoint
from dgl.weights.formats import FORMATS, register_format


@pytest.fixture(autouse=True)
def toy_format(monkeypatch):
    monkeypatch.setattr("dgl.weights.formats.registry.FORMATS", FORMATS[:])

    @register_format("lines of numbers", (".lines",), lambda path, head: head.startswith(b"lines"))
    def open_lines(path):
        with open(path) as stream:
            rows = [line.split() for line in stream.read().splitlines()[1:]]
        values = {name: np.array(numbers, "float32") for name, *numbers in rows}
        return {name: array.shape for name, array in values.items()}, values.__getitem__


@pytest.mark.parametrize("name, first", [("a.lines", "any"), ("a.npz", "lines"), ("a", "lines")])
def test_a_registered_format_is_opened_by_its_content_or_extension(tmp_path, name, first):
    (tmp_path / name).write_text(first + "\nx 1 2 3\ny 4\n")
    checkpoint = open_checkpoint(str(tmp_path / name))
    assert checkpoint.shapes == {"x": (3,), "y": (1,)}
    np.testing.assert_array_equal(checkpoint.read("x"), [1, 2, 3])
