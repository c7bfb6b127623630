"""An evaluation that is killed outright, and the run that goes on with it."""

import pytest
from killed_runs import check_same, finished, killed_after, make_command

IMAGES, KEPT = 16, 3


@pytest.fixture(scope="module")
def command(tmp_path_factory, root):
    return make_command(tmp_path_factory.mktemp("resume"), root, IMAGES)


@pytest.mark.slow
def test_killed_and_resumed_gives_the_bytes_of_one_run(command, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    finished(command + [str(whole)])
    done = killed_after(command + [str(out)], out, KEPT)
    assert KEPT <= done < IMAGES and not (out / "metrics.json").exists()
    said = finished(command + [str(out)])
    assert f"going on after {done} of {IMAGES}" in said
    check_same(out, whole)
