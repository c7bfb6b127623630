"""Starting and ending the server as far as it goes without Gradio."""

import os
import signal
import sys

import pytest

from dgl.cli.parser import main
from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.errors import Stopped, UserError
from dgl.serving import server as server_module
from dgl.serving.json_server import listen
from dgl.serving.server import Settings, serve
from dgl.serving.sessions import Limits


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """What the server sets for its process is undone; temporary files go to ``tmp_path``."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_without_gradio(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r'pip install "dgl-localization\[web\]"'):
        serve(Settings(loads=[], port=0))
    assert os.listdir(str(environment)) == []


def test_addresses_that_cannot_be_listened_at(environment):
    with listen("127.0.0.1", 0) as taken:
        taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"--port {port}: .*; expected .* a free port"):
            serve(Settings(loads=[], port=port))
    assert os.listdir(str(environment)) == []
    with pytest.raises(UserError, match="--host 192.0.2.1 "):  # for documentation alone, RFC 5737
        listen("192.0.2.1", 0)


def test_a_signal_ends_it_in_order(environment, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)

    def serving(settings, folder, bound):
        assert os.path.isdir(folder) and os.environ["GRADIO_TEMP_DIR"] == folder
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(server_module, "_serve", serving)
    with pytest.raises(Stopped) as stopped:
        serve(Settings(loads=[], port=0))
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert os.listdir(str(environment)) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_flags(monkeypatch):
    given = []
    monkeypatch.setattr(server_module, "serve", given.append)
    main(["serve"])
    words = "--load a b --host 0.0.0.0 --port 0 --keep 1 --queue 5 --gpu -1 --dataset cub".split()
    main(["serve", *words, "--max-megabytes", "0.5", "--max-megapixels", "2"])
    limits = Limits(500000, 2000000)
    many = Settings(["a", "b"], "0.0.0.0", 0, 1, limits, 5, "-1", "cub")
    assert given == [Settings(loads=["efficientnet_lite0", SHIPPED_CHECKPOINT]), many]
