"""Processors shared out among workers."""

import pytest

from dgl.evaluation.ray_workers import fair_share, room


@pytest.mark.parametrize(
    "hosts, workers, gpus, expected",
    [
        ([(2, 0)], 1, 0, 2),
        ([(2, 0)], 2, 0, 1),
        ([(8, 0)], 3, 0, 2),
        ([(64, 0)], 8, 0, 8),
        # A worker fits on one host: not 6 each, though there are 12.
        ([(4, 0), (8, 0)], 2, 0, 4),
        ([(4, 0), (8, 0)], 3, 0, 4),
        ([(4, 0), (8, 0)], 4, 0, 2),
        # Only where GPUs are.
        ([(64, 0), (16, 4)], 4, 1, 4),
        ([(64, 0), (16, 4)], 8, 0.5, 2),
        ([(64, 0), (16, 4)], 5, 1, None),
        ([(2, 0)], 2, 1, None),
        ([], 1, 0, None),
        ([(0, 0)], 1, 0, None),
    ],
)
def test_shares_are_as_large_as_they_can_be(hosts, workers, gpus, expected):
    found = fair_share(hosts, workers, gpus)
    assert found == expected
    if found is not None:
        assert room(hosts, found, gpus) >= workers
        assert room(hosts, found + 1, gpus) < workers


@pytest.mark.parametrize("cores, workers", [(1, 2), (2, 3), (2, 7), (3, 16), (1, 4096)])
def test_more_workers_than_cores_have_parts_of_one(cores, workers):
    share = fair_share([(cores, 0)], workers)
    assert 0 < share < 1
    # Ray counts in ten thousandths.
    assert round(share * 1e4) == pytest.approx(share * 1e4)
    assert room([(cores, 0)], share) >= workers


def test_room_counts_hosts_apart():
    assert room([(3, 0), (3, 0)], 2) == 2
    assert room([(16, 2), (16, 0)], 4, 1) == 2
    assert room([(1, 0)], 0.25) == 4
    assert room([(0.3, 0)], 0.1) == 3
