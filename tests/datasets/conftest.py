"""What the tests of the photographs share."""

import pytest
from photos5_clones import Clones


@pytest.fixture
def clones(tmp_path):
    return Clones(tmp_path)
