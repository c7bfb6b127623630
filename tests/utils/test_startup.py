"""Garbage is collected again after a start, however it ended."""

import gc

import pytest

from dgl.utils.startup import starting


@pytest.mark.parametrize("is_on", [True, False])
def test_collection_is_as_before_after_a_start_that_fails_inside_another(is_on):
    if not is_on:
        gc.disable()
    try:
        with starting():
            with pytest.raises(ZeroDivisionError), starting():
                raise ZeroDivisionError
            assert not gc.isenabled()
        assert gc.isenabled() == is_on
    finally:
        gc.enable()
