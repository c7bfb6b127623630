"""The command and the published scripts write the same bytes, files and standard output alike."""

import json
import os
import runpy
import sys
from unittest import mock

import pytest
from cli_runs import ROOT, dgl, ended, write_zoo_vgg
from networks import values_of, write_tensorflow
from trees import contents

from dgl.errors import run_script
from dgl.training import resolve as command
from dgl.weights import ModelCard, write_card

pytestmark = pytest.mark.usefixtures("quick_charts", "graphs_once")
_QUICK = ["--batch", "2", "--resamples", "20", "--gallery", "2", "--workers", "1", "--gpu=-1"]


def _script(*path):
    main = runpy.run_path(os.path.join(ROOT, *path))["main"]
    return lambda words: ended(lambda: run_script(main, [str(word) for word in words]))


def _module(name):
    def call(words):
        with mock.patch.object(sys, "argv", [name] + [str(word) for word in words]):
            return ended(lambda: runpy.run_module(name, run_name="__main__"))

    return call


def both(script, name, words, tmp_path, monkeypatch, own=None):
    """What the two ways ended with and wrote, each called in a new folder of its own.

    ``own``: the command's words, if not the script's.
    """
    found = []
    for folder, call in (
        ("script", lambda: script(words)),
        ("command", lambda: dgl(*name.split(), *(words if own is None else own))),
    ):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        done = call()
        found.append((done.code, done.out, contents(tmp_path / folder)))
    return found


@pytest.mark.parametrize(
    "flags, own",
    [
        ("--clayer conv4_3 --pa 3 --outdir o", "--layer conv4_3 --alpha 3 --out o"),
        ("", "--mode vgg"),
    ],
)
def test_localize(tiny, photos, tmp_path, monkeypatch, flags, own):
    """The command has short names, and takes images without a flag."""
    script = _script("test_code", "dome_image_DGL.py")
    words = ["--load", tiny, "--gpu=-1"]
    if flags:
        words += ["--mode", "vgg", "--method", "cam", "--save-maps"]
    given = ["--data_path", photos, *words, *flags.split()], [photos, *words, *own.split()]
    one, other = both(script, "localize", given[0], tmp_path, monkeypatch, given[1])
    assert one[0] == 0 and len(one[2]) > 20
    assert without_maps(one[2]) == without_maps(other[2]) and one[:2] == other[:2]


def without_maps(files):
    """The files but for the drawn maps, which the script colors as published."""
    return {
        name: data
        for name, data in files.items()
        if not name.endswith(".png") or name.endswith("_box.png")
    }


@pytest.mark.parametrize(
    "name, script, flags",
    [
        ("evaluate", "evaluate_localization.py", ["--clayer", "1-2", "--out", "out"]),
        (
            "study",
            "study_localization.py",
            ["--clayer", "1-2", "--method", "dgl", "--alphas", "inf", "--out", "out"],
        ),
    ],
)
def test_evaluate_and_study(tiny, data, tmp_path, monkeypatch, name, script, flags):
    words = ["--load", tiny, "--data", data] + flags + _QUICK
    one, other = both(_script("test_code", script), name, words, tmp_path, monkeypatch)
    assert one[:2] == other[:2] and one[0] == 0
    # When a run was, and how it was called, is in these.
    apart = {os.path.join("out", name) for name in ("run.json", "index.html")}
    assert set(one[2]) == set(other[2]) > apart
    assert {k: v for k, v in one[2].items() if k not in apart} == {
        k: v for k, v in other[2].items() if k not in apart
    }


@pytest.mark.parametrize(
    "script, flags, mode",
    [
        ("dgl_vgg.py", "", "vgg"),
        ("dgl_resnet.py", "--mode se --depth 101 --laststride 2", "resnet101se"),
        ("dgl_inceptionv3.py", "", "inceptionv3"),
        ("dgl_resnet.py", "", "resnet50"),
    ],
)
def test_train_gets_the_same_flags_with_every_backbone(script, flags, mode, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "run", lambda args, mode: seen.append((vars(args), mode)))
    words = ["--data", "DATA", "--batch", "16", "--gpu=-1", "--logdir", "log"]
    assert _script("train_code", script)(words + flags.split()).code == 0
    stride = ["--laststride", "2"] if "laststride" in flags else []
    assert dgl("train", "--mode", mode, *words + stride).code == 0
    (published, by_script), (own, by_command) = seen
    assert by_script == by_command == mode
    for name in ("mode", "depth"):
        published.pop(name)
    assert published == {name: own[name] for name in published}


def test_train_writes_into_a_folder_of_the_backbone_s_name(monkeypatch):
    seen = []
    monkeypatch.setattr(command, "run", lambda args, mode: seen.append(args.logdir))
    dgl("train", "--data", "DATA", "--mode", "resnet101")
    assert seen == ["resnet101"]


def test_make_data_birds(tmp_path, monkeypatch):
    words = "--out birds --train-per-class 1 --test-per-class 1 --size 64 --workers 1".split()
    script = _module("dgl.datasets.birds")
    one, other = both(script, "make-data birds", words, tmp_path, monkeypatch)
    assert one == other and one[0] == 0
    assert len(one[2]) == 2 * 16 + 6
    monkeypatch.chdir(tmp_path / "command")
    again = dgl("make-data", "birds", "--json", *words)
    made = {"out": "birds", "made": False, "classes": 8, "train": 8, "test": 8}
    assert json.loads(again.out) == made


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    values = values_of("vgg", 64, width=0.125, classes=3)
    prefix = write_tensorflow(str(folder / "model-5"), values)
    write_card(str(folder / "model.json"), ModelCard("vgg", 64, ("a", "b", "c"), "toys"))
    return prefix


def test_export(trained, tmp_path, monkeypatch):
    words = ["--load", trained, "--out", "toys.npz"]
    one, other = both(_module("dgl.weights.export"), "export", words, tmp_path, monkeypatch)
    assert one[0] == 0 and set(one[2]) == {"toys.npz", "toys.json"}
    assert one == other


def test_convert(tmp_path, monkeypatch):
    path = write_zoo_vgg(tmp_path)
    words = [path, "--out", "vgg.npz"]
    one, other = both(_module("dgl.weights.convert"), "convert", words, tmp_path, monkeypatch)
    assert one[0] == 0 and set(one[2]) == {"vgg.npz"}
    assert one == other
    refused = dgl("convert", *words)
    assert refused.code == 1 and "--force" in refused.err
    again = dgl("convert", "--force", "--json", *words)
    told = json.loads(again.out)
    assert (told["mode"], told["publisher"], told["out"]) == ("vgg", "tensorpack", "vgg.npz")
    assert contents(tmp_path / "command") == one[2]
