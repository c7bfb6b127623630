"""Old module names: each gives the module that is now elsewhere."""

import importlib
import subprocess
import sys

import pytest

from dgl.utils.renamed import RENAMED


@pytest.mark.parametrize("old", sorted(name for name in RENAMED if not name.endswith("__main__")))
def test_an_old_name_gives_the_module_at_its_new_place(old):
    module = importlib.import_module(old)
    assert module is importlib.import_module(RENAMED[old])
    assert module.__name__ == module.__spec__.name == RENAMED[old]


def test_names_of_the_old_inference_package_and_an_old_command():
    from dgl.inference import build_inference, open_session

    assert callable(build_inference) and callable(open_session)
    command = [sys.executable, "-m", "dgl.data.birds", "--help"]
    assert b"--out" in subprocess.check_output(command)
