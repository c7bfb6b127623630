"""`dgl fetch` against a local server: a fault is one line and leaves nothing, a second call completes.

Released checkpoints and archives are unpacked, without the optimizer, or refused.
"""

import hashlib
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from fetch_server import refusal
from foreign_files import assert_same, read_all
from networks import values_of
from published_files import (
    CLASSES,
    KERAS_FILE,
    TORCH_FILE,
    ZOO,
    assert_holds,
    published_part,
    slim,
    zoo,
)
from refusals import refusal as refused
from trees import contents as files_in

from dgl.backbones import get_backbone
from dgl.cli.parser import main as dgl_main
from dgl.weights import find_weights, open_checkpoint
from dgl.weights.convert import convert
from dgl.weights.fetch import fetch
from dgl.weights.sources import direct_address, find_source, sources

VGG = get_backbone("vgg")
DOWNLOADED = os.path.join("downloads", "models", "vgg16.npz")


def test_what_is_fetched_is_what_convert_makes(publish, home, contents, tmp_path, capsys):
    url = publish(ZOO)
    assert dgl_main(["fetch", "vgg16"]) == 0
    assert url in capsys.readouterr().out
    path = tmp_path / "vgg16.npz"
    path.write_bytes(contents[ZOO])
    expected = convert(str(path), str(tmp_path / "expected.npz")).out
    found = find_weights(VGG, "vgg16")
    assert found == str(home / "pretrain_model" / "vgg16.npz")
    assert_same(read_all(found), read_all(expected))
    assert os.listdir(".") == []
    assert not [name for name in files_in(home) if ".part" in name]


@pytest.mark.parametrize("fault", "404 slow page wrong truncated no-length stalled closed".split())
def test_a_fault_is_one_line_and_a_second_call_completes(publish, server, home, capsys, fault):
    url = publish(ZOO)
    server.faults = [fault]
    if fault == "closed":
        server.shutdown()
        server.server_close()
    line = refusal(capsys, "vgg16")
    assert url in line
    if fault not in ("wrong", "no-length"):
        assert "dgl fetch vgg16 --from FILE" in line
    left = set(files_in(home))
    assert left <= {DOWNLOADED + ".part", DOWNLOADED + ".part.tag"}
    assert bool(left) == (fault in ("truncated", "stalled"))
    if fault == "closed":
        return
    assert fetch("vgg16").is_new
    assert open_checkpoint(find_weights(VGG, "vgg16")).shapes


def test_a_download_continues_where_it_broke_off(publish, server, home, contents):
    publish(ZOO)
    server.faults = ["truncated", "truncated"]
    for _ in range(2):
        refused(fetch, "vgg16")
    fetch("vgg16")
    first, *later = server.seen
    starts = [int(text[len("bytes=") : -1]) for text in later]
    assert first is None and 0 < starts[0] < starts[1] < len(contents[ZOO])
    assert files_in(home)[DOWNLOADED] == contents[ZOO]


def test_a_file_that_changed_in_between_begins_anew(publish, server, contents):
    publish(ZOO, b"an older version" * 100000)
    server.faults = ["truncated"]
    refused(fetch, "vgg16")
    publish(ZOO)
    assert fetch("vgg16").sha256 == hashlib.sha256(contents[ZOO]).hexdigest()


def test_a_part_longer_than_the_file_is_dropped(publish, home, contents):
    publish(ZOO)
    part = home / (DOWNLOADED + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(contents[ZOO] + b"more")
    refused(fetch, "vgg16")
    assert fetch("vgg16").is_new


@pytest.mark.parametrize("kind, digits", [("sha256", 8), ("md5", 32)])
@pytest.mark.parametrize("more", [b"", b"\0"])
def test_the_publisher_s_digest(publish, home, contents, kind, digits, more):
    digest = hashlib.new(kind, contents[TORCH_FILE]).hexdigest()[:digits]
    publish(TORCH_FILE, contents[TORCH_FILE] + more, f"{kind}:{digest}")
    if more:
        assert digest in refused(fetch, TORCH_FILE.file_name)
        assert files_in(home) == {}
    else:
        assert digest in fetch(TORCH_FILE.file_name).checked


def npz(values):
    stream = io.BytesIO()
    np.savez(stream, **values)
    return stream.getvalue()


def test_a_file_that_changed_after_the_first_fetch_is_refused(publish, server, home, capsys):
    publish(ZOO)
    first = fetch("vgg16")
    values = zoo("vgg")
    server.files["/models/vgg16.npz"] = npz(dict(values, **{"conv1_1/b": values["conv1_1/b"] + 1}))
    (home / DOWNLOADED).unlink()
    before = files_in(home)
    line = refusal(capsys, "vgg16", "--keep-first-layer")  # which needs the download again
    assert first.sha256 in line and "fetched.json" in line
    assert files_in(home) == before
    (home / "fetched.json").unlink()
    assert fetch("vgg16").sha256 != first.sha256


def test_what_is_there_is_not_fetched_again(publish, server, capsys):
    publish(ZOO)
    first, again = fetch("vgg16"), fetch("vgg")
    assert (first.is_new, again.is_new, len(server.seen)) == (True, False, 1)
    assert again.sha256 == first.sha256
    assert fetch("vgg16", keep_first_layer=True).is_new
    assert len(server.seen) == 1  # made anew of the download
    assert_holds(open_checkpoint(find_weights(VGG, "vgg16")), published_part("vgg"))
    assert dgl_main(["fetch", "vgg16", "--keep-first-layer", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["is_new"], summary["load"]) == (False, "vgg")


@pytest.mark.parametrize("file", [ZOO, KERAS_FILE, TORCH_FILE], ids=lambda file: file.publisher)
def test_brought_by_hand(publish, home, contents, tmp_path, file):
    publish(file)
    path = tmp_path / file.file_name
    path.write_bytes(contents[file])
    assert fetch("vgg16", str(path)).source.file.file_name == file.file_name
    assert set(open_checkpoint(find_weights(VGG, "vgg16")).shapes) == set(published_part("vgg"))
    assert path.read_bytes() == contents[file]
    assert not (home / "downloads").exists()


@pytest.mark.parametrize(
    "name, stored, part",
    [
        (TORCH_FILE.file_name, TORCH_FILE, "397923af"),
        ("vgg16.npz", None, ""),
        ("renamed.h5", KERAS_FILE, "Keras"),
    ],
)
def test_what_is_brought_is_compared_too(home, contents, tmp_path, capsys, name, stored, part):
    path = tmp_path / name
    path.write_bytes(contents[stored] if stored else b"no weights")
    line = refusal(capsys, "vgg16", "--from", str(path))
    assert str(path) in line and part in line
    assert path.exists() and files_in(home) == {}


def test_the_list(publish, home, capsys):
    def listed(*words):
        assert dgl_main(["fetch", "--list", *words]) == 0
        return capsys.readouterr().out

    publish(ZOO)
    assert not any(row["ready"] or row["downloaded"] for row in json.loads(listed("--json")))
    assert files_in(home) == {}
    fetch("vgg16")
    capsys.readouterr()
    rows, shown = json.loads(listed("--json")), listed()
    (row,) = (row for row in rows if row["ready"])
    assert row["names"] == ["vgg", "vgg16", "vgg16.npz"] and os.path.isfile(row["downloaded"])
    for row in rows:
        assert row["names"][0] in shown and row["license"] in shown


def test_names_and_places_are_one_each():
    known = sources()
    names = [name for source in known for name in source.names]
    assert len(names) == len(set(names))
    assert len({source.download_path.lower() for source in known}) == len(known)
    for name in ("vgg16", "resnet50", "resnet50se", "inceptionv3"):
        assert find_source(name).names[0] == find_source(name).load
        assert find_source(name + "-dgl").load == name + "-dgl"
    assert find_source("vgg16").file.file_name == "vgg16.npz"
    assert find_source("VGG16.npz").file.file_name == "VGG16.npz"
    # A page of Google Drive has another address for what it shows.
    assert "id=abc_-1&" in direct_address("https://drive.google.com/file/d/abc_-1/view")


def test_bad_names_and_a_damaged_record(home, capsys):
    for words in ([], ["vgg17"], ["resnet101se"], ["vgg16", "--list"]):
        refusal(capsys, *words)
    assert files_in(home) == {}
    home.mkdir()
    (home / "fetched.json").write_text('{"files": []}')
    assert str(home / "fetched.json") in refusal(capsys, "--list")


# --- released checkpoints, archives


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
def test_a_released_checkpoint(publish, home, pack):
    values = values_of("vgg", 64, width=0.125, classes=CLASSES)
    data = npz(dict(values, **{"conv1_1/W/Momentum": np.zeros_like(values["conv1_1/W"])}))
    publish(VGG.released, pack({"../../model.npz": data, "readme.txt": b"hello"}) if pack else data)
    assert fetch("vgg16-dgl").source.load == "vgg16-dgl"
    checkpoint = open_checkpoint(find_weights(VGG, "vgg16-dgl"))
    assert set(checkpoint.shapes) == set(values)
    places = {name.split(os.sep)[0] for name in files_in(home)}
    assert places == {"downloads", "pretrain_model", "fetched.json"}


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
    assert files_in(home) == {}


@pytest.mark.slow
def test_an_archive_with_the_published_file(publish, home):
    backbone = get_backbone("inceptionv3")
    data = tarred({"inception_v3.ckpt": npz(slim())})  # told by its content
    url = publish(backbone.published_files[0], data, mode="inceptionv3", name="inception.tar.gz")
    fetch("inceptionv3")
    for short in ("inceptionv3", "inception_v3"):
        assert open_checkpoint(find_weights(backbone, short)).shapes
    record = json.loads((home / "fetched.json").read_text())
    assert record["files"][url]["sha256"] == hashlib.sha256(data).hexdigest()
