"""`dgl fetch` of released checkpoints and of archives: unpacked, without the optimizer, or refused."""

import dataclasses
import hashlib
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from fetch_server import refusal, tree
from networks import values_of, write_npz
from published_files import CLASSES, slim

from dgl.backbones import BACKBONES, get_backbone
from dgl.weights import find_weights, open_checkpoint
from dgl.weights.fetch import fetch

VGG = get_backbone("vgg")


def released_values():
    values = dict(values_of("vgg", 64, width=0.125, classes=CLASSES))
    return values, dict(values, **{"conv1_1/W/Momentum": np.zeros_like(values["conv1_1/W"])})


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("pack", [None, zipped, tarred])
def test_a_released_checkpoint(publish, server, home, tmp_path, pack):
    values, stored = released_values()
    with open(write_npz(tmp_path / "model.npz", stored), "rb") as stream:
        data = stream.read()
    if pack:
        data = pack({"../../model.npz": data, "readme.txt": b"hello"})
    publish(VGG.released, data)
    fetched = fetch("vgg16-dgl")
    assert fetched.source.load == "vgg16-dgl"
    checkpoint = open_checkpoint(find_weights(VGG, "vgg16-dgl"))
    assert set(checkpoint.shapes) == set(values)
    assert {name.split(os.sep)[0] for name in tree(home)} == {
        "downloads",
        "pretrain_model",
        "fetched.json",
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>too many downloads</html>",
        zipped({"a.txt": b"a"}),
        tarred({"m.npz": b"a" * 999})[:-20],
    ],
    ids=["empty", "page", "other archive", "damaged archive"],
)
def test_what_is_no_checkpoint(publish, home, capsys, data):
    url = publish(VGG.released, data)
    assert url in refusal(capsys, "vgg16-dgl")
    assert tree(home) == {}


@pytest.mark.slow
def test_an_archive_with_the_published_file(server, home, tmp_path, monkeypatch):
    backbone = get_backbone("inceptionv3")
    with open(write_npz(tmp_path / "a.npz", slim()), "rb") as stream:
        data = tarred({"inception_v3.ckpt": stream.read()})  # told by its content
    server.files["/models/inception.tar.gz"] = data
    first = dataclasses.replace(
        backbone.published_files[0], url=server.url + "/models/inception.tar.gz"
    )
    files = (first,) + backbone.published_files[1:]
    monkeypatch.setitem(
        BACKBONES, "inceptionv3", dataclasses.replace(backbone, published_files=files)
    )
    fetch("inceptionv3")
    for short in ("inceptionv3", "inception_v3"):
        assert open_checkpoint(find_weights(backbone, short)).shapes
    record = json.loads((home / "fetched.json").read_text())
    assert record["files"][first.url]["sha256"] == hashlib.sha256(data).hexdigest()
