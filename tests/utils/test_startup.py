"""Garbage is collected again after a start, however it ended."""

import gc

import pytest

from dgl.utils.startup import starting


def test_collection_goes_on_after_a_start_that_fails_inside_another():
    assert gc.isenabled()
    with starting():
        with pytest.raises(ZeroDivisionError), starting():
            raise ZeroDivisionError
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_that_was_off_stays_off():
    gc.disable()
    try:
        with starting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
