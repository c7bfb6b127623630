"""What the tests of the documentation share."""

import doc_stand_ins
import pytest


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory):
    """A folder of small data, checkpoints and images under the names that the pages use."""
    return doc_stand_ins.make_stand_ins(str(tmp_path_factory.mktemp("stand_ins")))
