"""Classes of a training: images of each, in both splits, in the checkpoint's order."""

import contextlib

import pytest
from networks import vgg_variables
from PIL import Image
from refusals import check_refusal
from sample_images import blob_image
from small_trainings import parse

from dgl.data.sample import DataSet, Sample
from dgl.errors import UserError
from dgl.training import classes as module
from dgl.training import resolve
from dgl.training.classes import check_order, check_splits
from dgl.weights import CARD_FILE, ModelCard, save_npz, write_card


def split(labels, names=None, classes=None, kind="train"):
    samples = [Sample(f"{n}.jpg", f"/{kind}/{n}.jpg", label) for n, label in enumerate(labels)]
    return DataSet("set", "lists", kind, samples, names, classes or max(labels) + 1)


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(module.logger, "warning", lambda *a: found.append(a[0] % a[1:]))
    return found


NAMES = ("apple", "banana", "cherry")


@pytest.mark.parametrize(
    "trained, validated, words",
    [
        ([0, 1, 2], [0, 1, 2], []),
        ([0, 1, 1], [0, 1], ["no training images of 1 of 3 classes", "'cherry'"]),
        ([0, 1], [1, 2], ["counts images of classes without training images as wrong: 'cherry'"]),
        ([0, 1, 2], [0, 2], ["no validation images of: 'banana'"]),
    ],
)
def test_classes_of_one_split_are_named(warnings, trained, validated, words):
    check_splits(split(trained, NAMES, 3), split(validated, NAMES, 3, "val"), 3)
    assert bool(warnings) == bool(words)
    assert all(any(word in text for text in warnings) for word in words)


@pytest.mark.parametrize(
    "card, names", [(NAMES, NAMES), (None, NAMES), (NAMES, None), (NAMES, NAMES[::-1])]
)
def test_the_order_of_a_checkpoint(card, names):
    card, data = ModelCard("vgg", 64, card), split([0], names, len(names or ()) or 1)
    differs = pytest.raises(UserError, match="'apple' is 0 in the checkpoint and 2 in the data")
    with differs if names == NAMES[::-1] else contextlib.nullcontext():
        check_order(card, data, "--load: x")
    check_refusal("labels are 1 to 3, none is 0", check_splits, split([1, 2, 3]), split([1]), 4)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Class folders, in a working folder of their own; trainings are not run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resolve, "train", lambda *a, **k: None)
    for part in ("train", "val"):
        for name in NAMES:
            (tmp_path / "data" / part / name).mkdir(parents=True)
            Image.fromarray(blob_image(1, 40, 40)).save(str(tmp_path / f"data/{part}/{name}/1.png"))
    return tmp_path / "data"


@pytest.mark.parametrize("way", ["--resume", "--load", "--val"])
def test_a_class_folder_that_was_renamed(data, way, tmp_path):
    folder = tmp_path / "train_log" / "mine"
    folder.mkdir(parents=True)
    save_npz(str(folder / "tiny.npz"), vgg_variables(3))
    write_card(str(folder / CARD_FILE), ModelCard("vgg", 64, NAMES))
    flags = ["--logdir", "mine", "--gpu=-1", "--final-size", "64", "--watch", "0"]
    flags += [] if way == "--resume" else ["--load", str(folder / "tiny.npz")]
    flags += [] if way == "--load" else [way]
    if way != "--val":
        resolve.run(parse(*flags, data=data), "vgg")
    for part in ("train", "val"):
        (data / part / "apple").rename(data / part / "pear")
    difference = "only in the checkpoint: 'apple'; only in the data: 'pear'"
    check_refusal(difference, resolve.run, parse(*flags, data=data), "vgg")
