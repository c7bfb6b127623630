"""`--freeze`: what stays, what is trained and how, resuming, other backbones, refusals."""

import re

import numpy as np
import pytest
from networks import WIDTH, options_of, vgg_variables
from refusals import check_refusal, refusal
from sample_images import write_list
from small_trainings import CLASSES, build_tower, load_last, make_recipe, parse, rows_of, train

from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.data.image_io import read_image
from dgl.data.views import rgb_to_bgr, validation_view
from dgl.tf_compat import tf
from dgl.training import resolve as module
from dgl.training.freeze import compute_activations, find_cut
from dgl.training.log_folder import read_rows
from dgl.training.resolve import check_freeze, load_split, resolve
from dgl.weights import save_npz

SIZE, RATE, DECAY, EPOCHS, STEPS = 32, 0.0002, 5e-4, 2, 2
LAYER = "conv5_2"
ABOVE = ("conv5_3/", "add/", "linear/")


def is_above(name):
    return name.startswith(ABOVE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("freeze")
    for split in ("train", "val"):
        write_list(folder / "data", split, rows_of(CLASSES))
    variables = {norm: vgg_variables(CLASSES, norm=norm) for norm in ("none", "bn")}
    below = [name for name in variables["none"] if not name.startswith("add/")]
    variables["headless"] = {name: variables["none"][name] for name in below}
    for name, values in variables.items():
        save_npz(str(folder / f"{name}.npz"), values)
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
    images = np.stack([rgb_to_bgr(validation_view(read_image(s.path), SIZE)) for s in samples])
    with tf.Graph().as_default(), tf.Session() as session:
        options = options_of("vgg", CLASSES, width=WIDTH)
        logits = build_network(get_backbone("vgg"), images, options).logits
        variables = {v.op.name: v for v in tf.global_variables() if is_above(v.op.name)}
        labels = [sample.class_index for sample in samples]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=labels)
        weights = [v for name, v in variables.items() if name.endswith("/W")]
        cost = tf.reduce_mean(losses) + DECAY * tf.add_n([tf.nn.l2_loss(w) for w in weights])
        gradients = []
        for name, variable in variables.items():
            factor = (1 if name.startswith("conv") else 10) * (2 if name.endswith("/b") else 1)
            gradients.append((factor * tf.gradients(cost, variable)[0], variable))
        sgd = tf.train.MomentumOptimizer(RATE, 0.9, use_nesterov=True)
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
def test_a_resumed_run_is_an_uninterrupted_one_and_validation_is_of_the_images(runs, folder):
    logs, texts = runs
    assert set(logs["parts"]) == set(logs["straight"])
    for name, value in logs["straight"].items():
        np.testing.assert_allclose(logs["parts"][name], value, rtol=1e-5, atol=1e-7, err_msg=name)
    error = float(re.search(r"top1[^:]*: ([0-9.]+)", texts[-1]).group(1))
    measured = read_rows(str(folder / "train_log" / "straight"))[-1]["val-error-top1"]
    assert measured == pytest.approx(error / 100)


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
    recipe = make_recipe(mode, freeze=layer, image_size=96)
    cut = find_cut(recipe)
    with tf.Graph().as_default():
        model, _, label, cost = build_tower(recipe)
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
            activations = np.random.RandomState(0).rand(2, *cut.shape)
            gradients = tf.gradients(cost, tf.trainable_variables())
            feed = {model.frozen_layers[True]: activations, label: [0, 1]}
            session.run([gradients, updates], feed)


@pytest.mark.slow
def test_views_are_random_fixed_by_the_seed_and_bounded(folder):
    recipe = make_recipe("vgg", freeze=LAYER, freeze_views=3, workers=1)
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


@pytest.mark.parametrize(
    "flags, images, message",
    [
        ("--load none.npz --freeze conv9_9", 4, "--freeze conv9_9"),
        ("--freeze conv5_3", 4, "--freeze conv5_3: .*--load"),
        ("--load none.npz --freeze conv5_3 --towers 2", 4, "--freeze conv5_3: .*tower"),
        ("--load none.npz --freeze conv1_1", 10**6, "--freeze conv1_1: .*GiB"),
        ("--load headless.npz --freeze add", 4, "--freeze add: .*add/W"),
    ],
)
def test_bad_use_is_one_line(folder, monkeypatch, flags, images, message):
    monkeypatch.setattr(module, "select_gpus", lambda gpu: 0)
    monkeypatch.chdir(folder)

    def call():
        args = parse("--batch", 4, "--final-size", SIZE, *flags.split())
        recipe, start = resolve(args, "vgg", images, CLASSES)
        check_freeze(recipe, start, images, images)

    assert re.match(message, refusal(call))


def test_a_path_around_the_layer_is_refused():
    recipe = make_recipe("efficientnet_lite0", freeze="block2_expand")
    check_refusal("path around", find_cut, recipe)
