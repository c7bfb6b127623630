"""What the page remembers of its visitors, and for how long."""

import numpy as np
import pytest

from dgl.errors import UserError
from dgl.serving import sessions as visits_module
from dgl.serving.sessions import Visit, Visits, at_most

SMALL = np.zeros((30, 40, 3), np.uint8)


def test_a_visitor_has_the_last_picture():
    visits = Visits()
    visits.open("a", SMALL, "first")
    second = visits.open("a", SMALL, "second")
    assert visits.get("a") is second and len(visits) == 1
    visits.drop("a")
    visits.drop("a")
    with pytest.raises(UserError, match="no image: drop one, or take a sample"):
        visits.get("a")


def test_the_least_recently_used_goes_for_room():
    visits = Visits(most_bytes=2 * Visit(SMALL, "").nbytes)
    for visitor in "ab":
        visits.open(visitor, SMALL, visitor)
    visits.get("a")
    visits.open("c", SMALL, "c")
    assert visits.get("a").name == "a" and visits.get("c").name == "c"
    with pytest.raises(UserError):
        visits.get("b")


def test_one_is_kept_whatever_its_size():
    visits = Visits(most_bytes=1)
    assert visits.open("a", SMALL, "a") is visits.get("a")


def test_unused_ones_go():
    visits = Visits(kept_seconds=60)
    visits.open("a", SMALL, "a").used -= 61
    visits.open("b", SMALL, "b").used -= 59
    visits.open("c", SMALL, "c")
    assert len(visits) == 2
    with pytest.raises(UserError):
        visits.get("a")


def test_maps_are_bounded(monkeypatch):
    monkeypatch.setattr(visits_module, "_MOST_MAP_BYTES", 1000)
    visit = Visit(SMALL, "a")
    for key in range(4):
        visit.keep(key, np.zeros(100, np.float32))
    assert [visit.find(key) is not None for key in range(4)] == [False, False, True, True]


@pytest.mark.parametrize(
    "shape, shown", [((30, 40), (30, 40)), ((600, 1280), (300, 640)), ((1280, 1), (640, 1))]
)
def test_pictures_are_shown_small(shape, shown):
    assert at_most(np.zeros(shape + (3,), np.uint8), 640).shape == shown + (3,)
    assert Visit(np.zeros(shape + (3,), np.uint8), "").size == shape
