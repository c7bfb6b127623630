"""The command and the published scripts write the same bytes, files and standard output alike."""

import json
import os
import runpy
import sys
from unittest import mock

import pytest
from cli_runs import ROOT, dgl, ended
from networks import values_of, write_npz, write_tensorflow
from trees import contents
from weights.published_files import zoo

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
    for folder in ("script", "command"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        done = script(words) if folder == "script" else dgl(*name.split(), *(own or words))
        assert done.code == 0, done.err
        found.append((done.out, contents(tmp_path / folder)))
    return found


@pytest.mark.parametrize(
    "flags, own",
    [
        ("--clayer conv4_3 --pa 3 --outdir o", "--layer conv4_3 --alpha 3 --out o"),
        ("", "--mode vgg"),
    ],
)
def test_localize(vgg, photos, tmp_path, monkeypatch, flags, own):
    """The command has short names, and takes images without a flag."""
    words = ["--load", vgg, "--gpu=-1"]
    if flags:
        words += ["--mode", "vgg", "--method", "cam", "--save-maps"]
    published, own = ["--data_path", photos, *words, *flags.split()], [photos, *words, *own.split()]
    script = _script("test_code", "dome_image_DGL.py")
    one, other = both(script, "localize", published, tmp_path, monkeypatch, own)
    for _, files in (one, other):
        assert len(files) > 20
        # The script colors maps as published.
        for name in [n for n in files if n.endswith(".png") and not n.endswith("_box.png")]:
            del files[name]
    assert one == other


@pytest.mark.parametrize(
    "name, script, flags",
    [
        ("evaluate", "evaluate_localization.py", []),
        ("study", "study_localization.py", ["--method", "dgl", "--alphas", "inf"]),
    ],
)
def test_evaluate_and_study(vgg, data, tmp_path, monkeypatch, name, script, flags):
    words = ["--load", vgg, "--data", data, "--clayer", "1-2", "--out", "out", *flags, *_QUICK]
    one, other = both(_script("test_code", script), name, words, tmp_path, monkeypatch)
    # When a run was, and how it was called, is in these.
    for _, files in (one, other):
        assert files.pop(os.path.join("out", "run.json"))
        assert files.pop(os.path.join("out", "index.html"))
    assert one == other and one[1]


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
    dgl("train", "--data", "DATA", "--mode", mode)
    assert seen[2][0]["logdir"] == mode  # by default


def test_make_data_birds(tmp_path, monkeypatch):
    words = "--out birds --train-per-class 1 --test-per-class 1 --size 64 --workers 1".split()
    script = _module("dgl.datasets.birds")
    one, other = both(script, "make-data birds", words, tmp_path, monkeypatch)
    assert one == other and len(one[1]) == 2 * 16 + 6
    again = dgl("make-data", "birds", "--json", *words)
    made = {"out": "birds", "made": False, "classes": 8, "train": 8, "test": 8}
    assert json.loads(again.out) == made


def test_export(tmp_path, monkeypatch):
    values = values_of("vgg", 64, width=0.125, classes=3)
    trained = write_tensorflow(str(tmp_path / "model-5"), values)
    write_card(str(tmp_path / "model.json"), ModelCard("vgg", 64, ("a", "b", "c"), "toys"))
    words = ["--load", trained, "--out", "toys.npz"]
    one, other = both(_module("dgl.weights.export"), "export", words, tmp_path, monkeypatch)
    assert set(one[1]) == {"toys.npz", "toys.json"}
    assert one == other


def test_convert(tmp_path, monkeypatch):
    words = [write_npz(tmp_path / "vgg16.npz", zoo("vgg")), "--out", "vgg.npz"]
    one, other = both(_module("dgl.weights.convert"), "convert", words, tmp_path, monkeypatch)
    assert one == other and set(one[1]) == {"vgg.npz"}
    refused = dgl("convert", *words)
    assert refused.code == 1 and "--force" in refused.err
    told = json.loads(dgl("convert", "--force", "--json", *words).out)
    assert (told["mode"], told["publisher"], told["out"]) == ("vgg", "tensorpack", "vgg.npz")
    assert contents(tmp_path / "command") == one[1]
