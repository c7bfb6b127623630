"""Fixtures of the tests of `dgl fetch`: a local server, a cache folder, published files."""

import dataclasses
import pathlib
import threading

import pytest
from fetch_server import Server
from foreign_files import write_keras, write_pth
from networks import shapes_of, write_npz
from published_files import KERAS_FILE, TORCH_FILE, ZOO, keras_vgg, torchvision, zoo

from dgl.backbones import BACKBONES
from dgl.weights import convert as convert_module
from dgl.weights import fetch as fetch_module

REGISTERED = dict(BACKBONES)


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch, graphs_once):
    """The cache folder; the working folder is another one."""
    monkeypatch.setenv("DGL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(fetch_module, "TIMEOUT", 0.3)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.fixture
def graphs_once(monkeypatch):
    """Variables of the published networks are as written down: building the graphs takes seconds."""

    def written_down(backbone, options):
        return dict(shapes_of(backbone.mode, 64, options))

    for module in (convert_module, fetch_module):
        monkeypatch.setattr(module, "network_variables", written_down)


@pytest.fixture(scope="session")
def contents(tmp_path_factory):
    """Published file of VGG16 -> its bytes, at an eighth of the width."""
    path = tmp_path_factory.mktemp("published") / "a"
    paths = {
        ZOO: write_npz(str(path) + ".npz", zoo("vgg")),
        KERAS_FILE: write_keras(str(path) + ".h5", keras_vgg(top=False)),
        TORCH_FILE: write_pth(str(path) + ".pth", torchvision("vgg")),
    }
    return {file: pathlib.Path(path).read_bytes() for file, path in paths.items()}


@pytest.fixture
def publish(server, home, contents, monkeypatch):
    """Publish a file of a network, or its released checkpoint, on the server; returns its address."""

    def at(file, data=None, digest="", mode="vgg", name=None):
        address, backbone = "/models/" + (name or file.file_name), REGISTERED[mode]
        server.files[address] = contents[file] if data is None else data
        served = dataclasses.replace(file, url=server.url + address, digest=digest)
        files = tuple(served if one is file else one for one in backbone.published_files)
        released = served if file is backbone.released else backbone.released
        changed = dataclasses.replace(backbone, published_files=files, released=released)
        monkeypatch.setitem(BACKBONES, mode, changed)
        return served.url

    return at
