"""`--freeze`: what stays, what is trained and how, resuming, other backbones, refusals."""

import json
import re

import numpy as np
import pytest
from networks import WIDTH, options_of, vgg_variables
from real_runs import load_last, train
from sample_images import write_list
from train_flags import parse

from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.data.image_io import read_image
from dgl.data.views import rgb_to_bgr, validation_view
from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training import resolve as module
from dgl.training.freeze import compute_activations, find_cut
from dgl.training.model import ClassifierModel
from dgl.training.recipe import Recipe
from dgl.training.resolve import check_freeze, load_split, resolve
from dgl.weights import save_npz

from tensorpack.tfutils.tower import TowerContext  # isort: skip

CLASSES, SIZE, RATE, DECAY, EPOCHS, STEPS = 4, 32, 0.0002, 5e-4, 2, 2
LAYER = "conv5_2"
ABOVE = ("conv5_3/", "add/", "linear/")


def is_above(name):
    return name.startswith(ABOVE)


def tiles(seed):
    """uint8 RGB (50, 60, 3) of tiles in random colors, so that every crop differs."""
    colors = np.random.RandomState(seed).randint(0, 256, (5, 6, 3), dtype="uint8")
    return colors.repeat(10, axis=0).repeat(10, axis=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("freeze")
    rows = [(f"{i}.jpg", tiles(i), i, ()) for i in range(CLASSES)]
    for split in ("train", "val"):
        write_list(folder / "data", split, rows)
    for norm in ("none", "bn"):
        save_npz(str(folder / f"{norm}.npz"), vgg_variables(CLASSES, norm=norm))
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """Trainings in which every batch is the list and every view the validation view."""
    common = (
        f"--data data --final-size {SIZE} --steps {STEPS} --batch {CLASSES} --workers 0 --seed 1 --gpu -1 "
        f"--base-lr {RATE} --freeze {LAYER} --freeze-views 1 --watch 0 "
    )
    texts = train(
        folder,
        common + f"--load none.npz --logdir straight --epoch {EPOCHS}",
        common + "--load none.npz --logdir parts --epoch 1",
        common + f"--load none.npz --logdir parts --epoch {EPOCHS} --resume",
        common + "--load bn.npz --logdir bn --epoch 1",
        f"--data data --final-size {SIZE} --workers 0 --val --load train_log/straight",
        still=True,
    )
    logs = {name: load_last(folder / "train_log" / name) for name in ("straight", "parts", "bn")}
    return logs, texts


@pytest.mark.slow
@pytest.mark.parametrize("run, norm", [("straight", "none"), ("bn", "bn")])
def test_what_is_frozen_is_unchanged_to_the_bit(runs, run, norm):
    after = runs[0][run]
    before = vgg_variables(CLASSES, norm=norm)
    for name, value in before.items():
        assert np.array_equal(after[name], value) == (not is_above(name)), name
    slots = [name for name in after if name.endswith("/Momentum")]
    assert slots and all(map(is_above, slots))


def train_uncached(folder):
    """Gradients through the whole network, then steps of the recipe on what is above the layer."""
    samples = load_split(parse(data=folder / "data"), "train").samples
    views = [rgb_to_bgr(validation_view(read_image(s.path), SIZE)) for s in samples]
    with tf.Graph().as_default(), tf.Session() as session:
        images = np.stack(views)
        network = build_network(
            get_backbone("vgg"), images, options_of("vgg", CLASSES, width=WIDTH)
        )
        variables = {v.op.name: v for v in tf.global_variables() if is_above(v.op.name)}
        labels = [sample.class_index for sample in samples]
        cost = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(logits=network.logits, labels=labels)
        )
        weights = [v for name, v in variables.items() if name.endswith("/W")]
        cost += DECAY * tf.add_n([tf.nn.l2_loss(w) for w in weights])
        sgd = tf.train.MomentumOptimizer(RATE, 0.9, use_nesterov=True)
        gradients = []
        for name, variable in variables.items():
            factor = (1 if name.startswith("conv") else 10) * (2 if name.endswith("/b") else 1)
            gradients.append((factor * tf.gradients(cost, variable)[0], variable))
        step = sgd.apply_gradients(gradients)
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            variable.load(vgg_variables(CLASSES)[variable.op.name], session)
        for _ in range(EPOCHS * STEPS):
            session.run(step)
        return session.run(variables)


@pytest.mark.slow
def test_what_is_trained_is_as_without_a_cache(runs, folder):
    for name, value in train_uncached(folder).items():
        change = np.abs(value - vgg_variables(CLASSES)[name]).max()
        error = np.abs(runs[0]["straight"][name] - value).max()
        assert error < 1e-5, name
        # Kernels of TensorFlow 1.15 round a bias, which changes least, differently from run to run.
        rounding = 4 * np.spacing(np.abs(value).max())
        assert error < 0.002 * change + rounding, name


@pytest.mark.slow
def test_a_resumed_run_is_an_uninterrupted_one(runs):
    logs, _ = runs
    assert set(logs["parts"]) == set(logs["straight"])
    for name, value in logs["straight"].items():
        np.testing.assert_allclose(logs["parts"][name], value, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.slow
def test_validation_is_of_the_images(runs, folder):
    error = float(re.search(r"top1[^:]*: ([0-9.]+)", runs[1][-1]).group(1))
    with open(str(folder / "train_log" / "straight" / "stats.json")) as stream:
        measured = json.load(stream)[-1]["val-error-top1"]
    assert measured == pytest.approx(error if error <= 1 else error / 100)


def small_recipe(mode, layer, views=1, size=SIZE):
    options = options_of(mode, CLASSES, width=WIDTH)
    return Recipe(
        mode=mode, options=options, image_size=size, batch=2, towers=1, steps=1, epochs=1,
        base_lr=RATE, workers=1, freeze=layer, freeze_views=views,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode, layer, above",
    [
        ("vgg", "add", ("linear/",)),
        ("resnet50", "group2/block5_shortcut", ("group3/", "linear/")),
        ("inceptionv3", "Mixed_6e", ("add", "Logits/")),
    ],
)
def test_every_backbone_is_cut(mode, layer, above):
    recipe = small_recipe(mode, layer, size=96)
    cut = find_cut(recipe)
    with tf.Graph().as_default():
        model = ClassifierModel(recipe)
        image, label = (tf.placeholder(s.dtype, s.shape, s.name) for s in model.inputs())
        with TowerContext("", is_training=True):
            cost = model.build_graph(image, label)
        trained = {v.op.name for v in tf.trainable_variables()}
        others = {v.op.name for v in tf.global_variables()} - trained
        assert trained and all(map(re.compile("|".join(above)).search, trained))
        assert not trained & set(cut.frozen)
        assert set(cut.frozen) <= others
        # The step runs from the layer alone: no image is fed.
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        assert bool(updates) == any("EMA" in n or "moving" in n for n in others - set(cut.frozen))
        config = tf.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            feed = {
                model.frozen_layers[True]: np.random.RandomState(0).rand(2, *cut.shape),
                label: [0, 1],
            }
            gradients = tf.gradients(cost, tf.trainable_variables())
            session.run([gradients, updates], feed)


@pytest.mark.slow
def test_views_are_random_fixed_by_the_seed_and_bounded(folder):
    recipe = small_recipe("vgg", LAYER, views=3)
    samples = load_split(parse(data=folder / "data"), "train").samples
    weights = vgg_variables(CLASSES)
    first, validation = compute_activations(recipe, weights, samples, samples, seed=1)
    again, _ = compute_activations(recipe, weights, samples, samples, seed=1)
    other, _ = compute_activations(recipe, weights, samples, samples, seed=2)
    assert len(first.values) == 3 * len(samples) and len(validation.values) == len(samples)
    assert sorted(first.labels) == sorted(3 * [sample.class_index for sample in samples])
    np.testing.assert_array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)
    of_one_class = first.values[first.labels == 0]
    assert not np.array_equal(of_one_class[0], of_one_class[1])


def refuse(folder, flags, mode="vgg", images=4):
    with pytest.raises(UserError) as caught:
        recipe, start = resolve(parse(*flags.split(), data=folder / "data"), mode, images, CLASSES)
        check_freeze(recipe, start, images, images)
    message = str(caught.value)
    assert "\n" not in message and "--freeze" in message
    return message


def test_bad_use_is_one_line(folder, monkeypatch):
    monkeypatch.setattr(module, "select_gpus", lambda gpu: 0)
    start = f"--batch 4 --final-size {SIZE} --load {folder / 'none.npz'} "
    assert "conv9_9" in refuse(folder, start + "--freeze conv9_9")
    assert "--load" in refuse(folder, f"--batch 4 --final-size {SIZE} --freeze conv5_3")
    assert "tower" in refuse(folder, start + "--freeze conv5_3 --towers 2")
    assert "GiB" in refuse(folder, start + "--freeze conv1_1", images=10**6)
    headless = {n: v for n, v in vgg_variables(CLASSES).items() if not n.startswith("add/")}
    save_npz(str(folder / "headless.npz"), headless)
    start = start.replace("none.npz", "headless.npz")
    assert "add/W" in refuse(folder, start + "--freeze add")


def test_a_path_around_the_layer_is_refused():
    recipe = small_recipe("efficientnet_lite0", "block2_expand")
    with pytest.raises(UserError, match="path around"):
        find_cut(recipe)
