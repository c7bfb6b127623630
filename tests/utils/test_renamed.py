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


def test_names_of_the_old_inference_package():
    from dgl.inference import build_inference, open_session

    assert callable(build_inference) and callable(open_session)


@pytest.mark.parametrize("module", ["dgl.data.birds", "dgl.data.photos5"])
def test_an_old_command_runs(module):
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )
    assert "--out" in shown.stdout
