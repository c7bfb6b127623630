"""Fixtures of the tests of `dgl fetch`: a local server, a cache folder, published files."""

import dataclasses
import threading

import pytest
from fetch_server import Server
from foreign_files import write_keras, write_pth
from networks import shapes_of, write_npz
from published_files import keras_vgg, torchvision, zoo

from dgl.backbones import BACKBONES, get_backbone
from dgl.weights import convert as convert_module
from dgl.weights import fetch as fetch_module

VGG = get_backbone("vgg")
ZOO, KERAS_FILE, TORCH_FILE = (VGG.published_files[index] for index in (0, 3, 4))


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
    for module in (convert_module, fetch_module):
        monkeypatch.setattr(
            module,
            "network_variables",
            lambda backbone, options, size: dict(shapes_of(backbone.mode, size, options)),
        )


@pytest.fixture(scope="session")
def contents(tmp_path_factory):
    """Published file of VGG16 -> its bytes, at an eighth of the width."""
    folder = tmp_path_factory.mktemp("published")
    paths = {
        ZOO: write_npz(folder / "vgg16.npz", zoo("vgg")),
        KERAS_FILE: write_keras(folder / "a.h5", keras_vgg(top=False)),
        TORCH_FILE: write_pth(folder / "a.pth", torchvision("vgg")),
    }
    found = {}
    for file, path in paths.items():
        with open(str(path), "rb") as stream:
            found[file] = stream.read()
    return found


@pytest.fixture
def publish(server, home, contents, monkeypatch):
    """Publish one of VGG16's files, or a released checkpoint, on the server; returns its address."""

    def at(file, data=None, digest="", path="/models/"):
        data = contents[file] if data is None else data
        address = path + file.file_name
        served = dataclasses.replace(file, url=server.url + address, digest=digest)
        server.files[address] = data
        backbone = BACKBONES["vgg"]
        if file is VGG.released:
            backbone = dataclasses.replace(backbone, released=served)
        else:
            files = tuple(served if one is file else one for one in VGG.published_files)
            backbone = dataclasses.replace(backbone, published_files=files)
        monkeypatch.setitem(BACKBONES, "vgg", backbone)
        return served.url

    return at
