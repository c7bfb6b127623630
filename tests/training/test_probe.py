"""Probes: features, the fitted last layer, what is written, and bad input."""

import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from networks import vgg_variables
from numpy_forward import forward, preprocess
from PIL import Image
from refusals import check_refusal
from sample_images import blob_image, write_list
from sklearn.linear_model import LogisticRegression

from dgl.backbones.published import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB
from dgl.cli.parser import main
from dgl.data.image_io import read_image
from dgl.data.views import squash
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.training import probe as probe_module
from dgl.training.probe import STRENGTHS, fit_head
from dgl.weights import ModelCard, open_checkpoint, read_card, save_npz, write_card

NAMES = ("ash", "birch", "cedar")
SIZE = 32
LOG = os.path.join("train_log", "mine")
IMAGES = {"train": 6, "val": 2}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A VGG of another data set with its last layer, without it, and with neither that nor `add`."""
    folder = tmp_path_factory.mktemp("start")
    variables = vgg_variables(5)
    for name, without in (("vgg", "-"), ("headless", "linear"), ("bare", ("linear", "add"))):
        kept = {key: value for key, value in variables.items() if not key.startswith(without)}
        save_npz(str(folder / f"{name}.npz"), kept)
    return folder


def images_of(data, split):
    """(path, label) of every image of a split, class after class."""
    return [
        (data / split / name / f"{number}.png", label)
        for label, name in enumerate(NAMES)
        for number in range(IMAGES[split])
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Class folders of images that share a color, six for training and two for validation."""
    folder = tmp_path_factory.mktemp("probe_data") / "trees"
    for split, first in (("train", 0), ("val", 50)):
        for path, label in images_of(folder, split):
            tint = np.random.RandomState(label).uniform(0.3, 1, 3)
            image = blob_image(100 * label + first + int(path.stem))[::7, ::7] * tint
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype("uint8")).save(str(path))
    return folder


def train(data, load, *flags):
    words = f"train --probe --mode vgg --data {data} --load {load} --gpu=-1 --logdir mine"
    with tf.Graph().as_default():
        return main([*words.split(), *map(str, flags)])


def fitted(data, load, *flags):
    assert train(data, load, "--final-size", SIZE, "--seed", 3, *flags) == 0
    checkpoint = open_checkpoint(LOG)
    return {name: checkpoint.read(name) for name in checkpoint.shapes}


def log_text(folder=LOG):
    with open(os.path.join(folder, "log.log")) as stream:
        return stream.read()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def probed(data, start, tmp_path_factory):
    """A probe of ``vgg.npz``: its log folder, its variables, and what its last layer was fitted to."""
    folder, seen = tmp_path_factory.mktemp("probed"), []

    def recorded(features, *rest):
        seen.append((features, fit_head(features, *rest)))
        return seen[0][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(probe_module, "fit_head", recorded)
        values = fitted(data, start / "vgg.npz")
    ((features, head),) = seen
    return SimpleNamespace(log=str(folder / LOG), values=values, features=features, head=head)


def test_the_checkpoint_is_the_backbone_with_a_new_last_layer(probed):
    before = vgg_variables(5)
    assert set(probed.values) == set(before)
    for name, value in probed.values.items():
        if not name.startswith("linear"):
            np.testing.assert_array_equal(value, before[name])
    assert probed.values["linear/W"].shape == (128, len(NAMES))
    card = read_card(probed.log)
    assert (card.mode, card.image_size, card.data_set) == ("vgg", SIZE, "trees")
    assert card.class_names == NAMES
    text = log_text(probed.log)
    assert "18 images" in text and "6 images" in text
    assert all(f"-> {name}" in text for name in NAMES)


@pytest.mark.parametrize("load, seed, is_same", [("headless", 3, True), ("vgg", 4, False)])
def test_only_the_seed_changes_the_last_layer(data, start, probed, load, seed, is_same):
    """To the bit; the last layer that the checkpoint had is not looked at."""
    other = fitted(data, start / f"{load}.npz", "--seed", seed)
    assert (other["linear/W"] == probed.values["linear/W"]).all() == is_same
    assert (other["add/W"] == probed.values["add/W"]).all()


def test_features_and_logits_are_those_of_the_network(data, probed):
    """Pooled features of whole images, against the forward pass in NumPy."""
    paths = [str(path) for path, _ in images_of(data, "train")]
    views = np.stack([squash(read_image(path), (), SIZE)[0][..., ::-1] for path in paths])
    mean, std = (255 * np.array(values[::-1]) for values in (IMAGENET_MEAN_RGB, IMAGENET_STD_RGB))
    layers = forward("vgg", preprocess(views, "bgr", mean, std), probed.values)
    features = probed.features[:, 0]
    np.testing.assert_allclose(features, layers["add"].mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    with Predictor("vgg", probed.log, gpu="-1") as predictor:
        logits = predictor(views).logits
    np.testing.assert_allclose(logits, probed.head.logits(features), rtol=1e-4, atol=1e-4)


def made_features(classes, images=12, views=3, channels=40, seed=0):
    rng = np.random.RandomState(seed)
    labels = np.repeat(np.arange(classes), images)
    centers = rng.standard_normal((classes, channels))
    noise = rng.standard_normal((len(labels), views, channels))
    features = 5 + 0.3 * (centers[labels][:, np.newaxis] + 2 * noise)
    return features.astype("float32"), labels


@pytest.mark.parametrize("classes", [2, 5])
def test_logits_are_the_decision_function_of_scikit_learn(classes):
    features, labels = made_features(classes)
    head = fit_head(features, labels, seed=1)
    assert head.strength in STRENGTHS and head.folds == 5
    rows = features.reshape(-1, features.shape[2]).astype("float64")
    scaled = (rows - rows.mean(0)) / np.sqrt(rows.var(0).mean())
    regression = LogisticRegression(C=head.strength / features.shape[1], max_iter=1000)
    regression.fit(scaled, np.repeat(labels, features.shape[1]))
    expected, logits = regression.decision_function(scaled), head.logits(rows)
    if classes == 2:
        logits = logits[:, 1] - logits[:, 0]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_held_out_predictions_are_honest():
    """Labels without any relation to the features: fits see them, held-out images do not."""
    features, labels = made_features(2, images=40, views=1, channels=200)
    features = np.random.RandomState(3).standard_normal(features.shape)
    head = fit_head(features, labels)
    assert (head.logits(features[:, 0]).argmax(1) == labels).mean() > 0.9
    assert (head.held_out == labels).mean() < 0.7
    features, labels = made_features(3, images=40)
    assert (fit_head(features, labels).held_out == labels).mean() > 0.8


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 4, 9), (2, 2)])
def test_small_classes(counts):
    features, labels = made_features(len(counts), images=max(counts))
    kept = np.concatenate([np.flatnonzero(labels == c)[:n] for c, n in enumerate(counts)])
    head = fit_head(features[kept], labels[kept])
    assert head.weights.shape == (40, len(counts)) and np.isfinite(head.weights).all()
    assert head.folds == (0 if max(counts) == 1 else min(5, max(counts)))
    alone = np.array(counts)[labels[kept]] == 1
    assert ((head.held_out < 0) == alone).all()


def test_the_most_frequent_confusions_of_many_classes():
    data = SimpleNamespace(classes=11, class_name=str)
    labels, predicted = np.array([2, 0, 0, 0, 1, 2]), np.array([0, 1, 1, 0, 1, 1])
    table = probe_module._confusion_table(data, labels, predicted, "images").splitlines()
    assert [row.split() for row in table[3:]] == [list("0123"), list("2012"), list("2112")]
    assert "No confusions" in probe_module._confusion_table(data, labels, labels, "images")


def test_small_classes_are_reported_and_unreadable_images_left_out(data, start, tmp_path):
    shutil.copytree(data / "train", "few")
    for number in range(4):
        (tmp_path / "few" / "birch" / f"{number}.png").unlink()
    (tmp_path / "few" / "cedar" / "0.png").write_bytes(b"no image")
    shutil.copy(start / "vgg.npz", "own.npz")
    write_card("own.json", ModelCard("vgg", 48))
    assert train("few", "own.npz") == 0
    assert read_card(LOG).image_size == 48  # that of the card
    text = log_text()
    assert "birch: 2 training images" in text and "13 images" in text


@pytest.mark.parametrize(
    "load, flags, text",
    [
        ("vgg", "--resume", "--probe --resume"),
        ("vgg", "--val", "--probe --val"),
        ("vgg", "--print-recipe", "--probe --print-recipe"),
        ("bare", "", r"bare\.npz: has no weights of add/W"),
        ("vgg", "--data one --data-format folder", "one class, 'ash'"),
        ("vgg", "--data three", "no training images of 'oak'"),
        ("vgg", "--classnum 4", "no training images of '3'"),
    ],
)
def test_bad_input_is_refused_in_one_line(data, start, load, flags, text):
    if "--data " in flags:
        shutil.copytree(data / "train" / "ash", os.path.join("one", "ash"))
        shutil.copytree(data / "train", "three")
        os.makedirs(os.path.join("three", "oak"))
    check_refusal(text, train, data, start / f"{load}.npz", *flags.split())
    assert not os.path.exists("train_log")


@pytest.mark.slow
@pytest.mark.usefixtures("quick_charts")
def test_other_commands_take_the_checkpoint(data, probed):
    log, photos = probed.log, images_of(data, "val")
    common = ["--gpu=-1", "--load", log]
    assert main(["localize", str(photos[0][0]), *common, "--out", "found"]) == 0
    assert main(["info", log]) == 0
    assert main(["export", "--load", log, "--out", "mine.npz"]) == 0
    boxes = [(2, 3, 40, 30)]
    rows = [
        (f"{n}.png", read_image(str(path)), label, boxes) for n, (path, label) in enumerate(photos)
    ]
    write_list("boxed", "val", rows, "trees")
    flags = "--data boxed --resamples 0 --out evaluation --workers 1 --clayer 1 --gallery 0"
    assert main(["evaluate", *common, *flags.split()]) == 0
