"""Fixtures for the tests of charts."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def figures(monkeypatch):
    """Collect the axes of every chart that is saved."""
    seen = []
    save = Figure.savefig

    def keep(figure, *args, **options):
        seen.append(figure.axes[0])
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return seen
