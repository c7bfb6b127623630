"""`dgl refine`: the head against NumPy, pseudo masks, repeatability, bad input, and drawn birds."""

import contextlib
import io
import json
import os
from unittest import mock

import cv2
import numpy as np
import pytest
from networks import values_of
from refusals import check_refusal
from sample_images import blob_image, rectangle_image, write_list

from dgl.backbones import get_backbone
from dgl.backbones.foreground import (
    HIDDEN_BIAS,
    SCORE,
    SCORE_BIAS,
    foreground_logits,
    head_layers,
    layer_weights,
)
from dgl.cli.parser import main
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import squash
from dgl.datasets import SHIPPED_CHECKPOINT, birds
from dgl.localizer import Localizer
from dgl.predict.grabcut import pseudo_mask
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.training.pseudo_masks import FrozenTeacher, Lessons
from dgl.training.refine import fold, initial_weights, teach
from dgl.weights import ModelCard, open_checkpoint, read_card, save_npz, write_card
from dgl.weights.facts import read_facts

SHAPES = {"fine": (9, 9, 5), "middle": (5, 5, 7), "coarse": (3, 3, 4)}
SIZE, CLASSES = 64, 3


def drawn(seed, count=2):
    """Layer -> activations of either sign, with a mean and a scale of their own."""
    rng = np.random.RandomState(seed)
    return {
        layer: (rng.standard_normal((count, *shape)) * (place + 1) + place).astype("float32")
        for place, (layer, shape) in enumerate(SHAPES.items())
    }


def resized(value, side):
    return cv2.resize(value, (side, side), interpolation=cv2.INTER_LINEAR)


def in_numpy(activations, weights):
    """The head's definition: resize every activation, one perceptron at each place."""
    values = [np.stack([resized(one, 9) for one in value]) for value in activations.values()]
    matrix = np.concatenate([weights[layer_weights(name)][0, 0] for name in activations])
    hidden = np.maximum(np.concatenate(values, 3) @ matrix + weights[HIDDEN_BIAS], 0)
    return (hidden @ weights[SCORE][0, 0] + weights[SCORE_BIAS])[..., 0]


def in_graph(activations, weights):
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = [{n: tf.constant(v) for n, v in one.items()} for one in (activations, weights)]
        return session.run(foreground_logits(*tensors))


def test_the_graph_is_a_perceptron_at_each_place():
    activations, weights = drawn(1), initial_weights(SHAPES, 6, seed=2)
    expected = in_numpy(activations, weights)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(in_graph(activations, weights), expected, rtol=0, atol=1e-5)


def test_folded_weights_take_activations_as_they_are():
    activations, weights = drawn(3), initial_weights(SHAPES, 6, seed=4)
    rng = np.random.RandomState(5)
    scales = {
        name: (rng.standard_normal(shape[2]), rng.uniform(0.5, 3, shape[2]))
        for name, shape in SHAPES.items()
    }
    standardized = {
        name: ((value - scales[name][0]) / scales[name][1]).astype("float32")
        for name, value in activations.items()
    }
    folded, expected = in_graph(activations, fold(weights, scales)), in_graph(standardized, weights)
    np.testing.assert_allclose(folded, expected, rtol=0, atol=1e-4)


def test_a_pseudo_mask_follows_the_object_s_colors():
    rows, columns = np.mgrid[:96, :96]
    squared = (rows - 48) ** 2 + (columns - 40) ** 2
    truth = squared < 30**2
    noise = np.random.RandomState(0).normal(0, 12, (96, 96, 3))
    image = np.where(truth[..., None], (200, 60, 40), (40, 120, 60)) + noise
    image = np.clip(image, 0, 255).astype("uint8")
    # Above the surer seed within half of the radius, below zero far outside.
    raw = np.exp(-squared[4::8, 4::8] / 16**2) - 0.004
    found = pseudo_mask(image, raw)
    assert found.dtype == bool and found.shape == (96, 96)
    assert (found & truth).sum() / (found | truth).sum() > 0.95
    np.testing.assert_array_equal(pseudo_mask(image, raw), found)
    np.testing.assert_array_equal(pseudo_mask(image, 7 * raw), found)
    # None without a positive value.
    assert pseudo_mask(image, 0 * raw) is pseudo_mask(image, -np.ones_like(raw)) is None


def lessons(count=40):
    """Objects that one channel of one layer shows, behind noise."""
    rng = np.random.RandomState(7)
    activations = drawn(8, count)
    masks = np.zeros((count, 9, 9), "float32")
    for i in range(count):
        top, left = rng.randint(0, 5, 2)
        masks[i, top : top + 4, left : left + 4] = 1
    activations["fine"][..., 2] += 6 * masks
    return Lessons({n: v.astype("float16") for n, v in activations.items()}, masks)


def test_a_head_learns_and_repeats_to_the_bit():
    taught = lessons()
    first, again, other = (teach(taught, seed, steps=200, units=8) for seed in (1, 1, 2))
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)
    assert any((other[name] != first[name]).any() for name in first)
    logits = in_graph({n: v.astype("float32") for n, v in taught.activations.items()}, first)
    found, truth = logits > 0, taught.masks > 0.5
    assert found[truth].mean() > 0.85 and found[~truth].mean() < 0.15


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small VGG with a card, and images of its classes, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("refine")
    save_npz(str(folder / "tiny.npz"), values_of("vgg", SIZE, classes=CLASSES, width=0.125))
    write_card(str(folder / "tiny.json"), ModelCard("vgg", SIZE, ("a", "b", "c"), "blobs"))
    rows = [(f"{i}.jpg", rectangle_image(i, 60, 80), i % CLASSES, []) for i in range(5)]
    write_list(folder / "data", "train", rows)
    (folder / "data" / "train" / "4.jpg").write_bytes(b"no image")
    return folder


def refine(place, out, *flags):
    """Run the command; GrabCut sees images of 48 pixels, which takes a sixteenth of the time."""
    given = ["refine", "--load", place / "tiny.npz", "--data", place / "data", "--out", out]
    given += ["--steps", 5, "--layer", "conv5_3", *flags]
    with mock.patch("dgl.predict.grabcut.MASK_SIZE", 48):
        return main([str(word) for word in given])


@pytest.fixture(scope="module")
def refined(place):
    """Path of the refined checkpoint, and what the command said as JSON."""
    out, printed = str(place / "refined.npz"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert refine(place, out, "--batch", 1, "--json") == 0
    return out, json.loads(printed.getvalue())


def test_a_checkpoint_with_its_head(place, refined, tmp_path):
    out, told = refined
    assert (told["images"], told["without_object"], told["unread"]) == (4, 0, 1)
    found, start = open_checkpoint(out), open_checkpoint(str(place / "tiny.npz"))
    assert head_layers(found.shapes) == told["layers"] and len(told["layers"]) > 1
    assert set(found.shapes) > set(start.shapes)
    for name in start.shapes:
        np.testing.assert_array_equal(found.read(name), start.read(name))
    assert read_card(out) == read_card(str(place / "tiny.npz"))
    assert list(read_facts(out).foreground) == told["layers"]
    assert read_facts(out).next_command.endswith("--method foreground")
    exported = str(tmp_path / "exported.npz")
    assert main(["export", "--load", out, "--out", exported]) == 0
    assert head_layers(open_checkpoint(exported).shapes) == told["layers"]
    for method in ("refined", "foreground"):
        words, path = f"--method {method}: .*no foreground head", str(place / "tiny.npz")
        check_refusal(words, Predictor, "vgg", path, methods=[method])


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def seen(monkeypatch):
    """Classes that the network is asked for; its fourth run is interrupted."""
    seen = []

    def ask(graph, images, classes, run=FrozenTeacher.__call__):
        seen.append(classes)
        return stop() if len(seen) == 4 else run(graph, images, classes)

    monkeypatch.setattr(FrozenTeacher, "__call__", ask)
    return seen


def test_an_interrupted_call_goes_on(place, refined, tmp_path, seen):
    """What it writes is equal to the bit to what a call writes that nothing interrupts."""
    out = tmp_path / "out.npz"
    with pytest.raises(KeyboardInterrupt):
        refine(place, out, "--batch", 1)
    assert not out.exists()
    kept = len(seen)
    assert refine(place, out, "--batch", 1) == 0
    assert len(seen) - kept < 4  # images that can be read
    assert out.read_bytes() == (place / "refined.npz").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["out.json", "out.npz"]


@pytest.mark.slow
def test_work_of_other_settings_is_begun_anew(place, tmp_path, monkeypatch, seen):
    rows = [(f"{i}.jpg", rectangle_image(i + 9, 60, 80), i % CLASSES, []) for i in range(3)]
    write_list(tmp_path / "other", "train", rows)
    layer, data = ["--layer", "conv5_2"], ["--data", tmp_path / "other"]
    with monkeypatch.context() as patch:
        patch.setattr("dgl.training.refine.teach", stop)
        for flags, images in (([], 4), ([], 0), (layer, 4)):
            before = sum(map(len, seen))
            with pytest.raises(KeyboardInterrupt):
                refine(place, tmp_path / "out.npz", *flags)
            assert sum(map(len, seen)) - before == images
    for name in ("out.npz", "whole.npz"):
        seen.clear()
        assert refine(place, tmp_path / name, *layer, *data) == 0
        assert sum(map(len, seen)) == 3
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_maps_of_a_checkpoint_with_a_head(refined):
    images = np.stack([squash(blob_image(seed), (), SIZE)[0] for seed in (1, 2)])
    with Predictor("vgg", refined[0], ["add"], ["all"]) as predictor:
        maps = predictor(images[..., ::-1], [0, 1]).maps
        other = predictor(images[..., ::-1], [1, 0], [("foreground", "image")]).maps
    foreground, refined_map = maps["foreground", "image"], maps["refined", "add"]
    assert foreground.shape == refined_map.shape == (2, 8, 8)
    assert foreground.min() >= 0 and foreground.max() <= 1 and np.ptp(foreground) > 0.1
    np.testing.assert_allclose(other["foreground", "image"], foreground, rtol=0, atol=1e-6)
    # The local probability, as another method shows it.
    local = (maps["normgrad-local", "add"] / maps["normgrad", "add"]) ** 2
    dgl = np.maximum(maps["dgl", "add"], 0)
    for i in range(2):
        own, other = resized(local[i], 8), resized(dgl[i] / dgl[i].max(), 8)
        expected = foreground[i] * own * np.sqrt(other)
        np.testing.assert_allclose(refined_map[i], expected, rtol=0, atol=1e-3)


def test_the_foreground_has_a_threshold_of_its_own(place, refined, tmp_path, capsys):
    for method, threshold in (("dgl", get_backbone("vgg").localize.threshold), ("refined", 0.08)):
        with Localizer(refined[0], method=method) as localizer:
            assert localizer.threshold == threshold
    path = str(place / "data" / "train" / "1.jpg")
    flags = ["--load", refined[0], "--method", "foreground", "--out", str(tmp_path), "--json"]
    assert main(["localize", path, *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["method"], told["layer"], told["threshold"]) == ("foreground", "image", 0.3)


@pytest.mark.parametrize(
    "out, flags, message",
    [
        ("out.ckpt", "", "--out .*out.ckpt: expected a name ending in .npz"),
        ("out.npz", "--method refined", "--method refined: needs a head"),
        ("out.npz", "--load other.npz", "3 classes, but the checkpoint has 2"),
        ("out.npz", "--data unread", "no image has a map .* 1 cannot be read"),
    ],
)
def test_bad_input_leaves_nothing(place, tmp_path, monkeypatch, out, flags, message):
    monkeypatch.chdir(tmp_path)
    save_npz("other.npz", values_of("vgg", SIZE, classes=2, width=0.125))
    write_list(tmp_path / "unread", "train", [("a.jpg", None, 0, [])])
    (tmp_path / "unread" / "train" / "a.jpg").write_bytes(b"no image")
    check_refusal(message, refine, place, out, *flags.split())
    assert sorted(os.listdir(".")) == ["other.npz", "unread"]


@pytest.mark.slow
def test_drawn_birds_that_it_did_not_learn_from(tmp_path):
    data, out = str(tmp_path / "data"), str(tmp_path / "birds.npz")
    birds.write_data_set(data, seed=5, train_per_class=2, test_per_class=2, progress=False)
    main(["refine", "--load", SHIPPED_CHECKPOINT, "--data", data, "--out", out, "--steps", "100"])
    samples = load_data(data, "val").samples
    with Predictor("vgg", out, methods=["foreground"]) as predictor:
        size = predictor.image_size
        views = [squash(read_image(sample.path), sample.boxes, size) for sample in samples]
        (maps,) = predictor(np.stack([image for image, _ in views])[..., ::-1]).maps.values()
    means = []  # of the map inside and outside of each box
    for raw, (_, boxes) in zip(maps, views):
        x0, y0, x1, y1 = boxes[0]
        is_inside = np.zeros((size, size), bool)
        is_inside[y0:y1, x0:x1] = True
        means.append([resized(raw, size)[where].mean() for where in (is_inside, ~is_inside)])
    inside, outside = np.transpose(means)
    assert np.mean(inside > outside) > 0.9
    assert inside.mean() > outside.mean() + 0.1
