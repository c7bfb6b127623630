"""The training graph against NumPy: weight decay, momentum, errors; gradients are in test_one_step.py."""

import contextlib

import numpy as np
import pytest
from map_formulas import softmax
from networks import WIDTH, options_of, vgg_variables
from small_trainings import build_tower, make_recipe

from dgl.backbones import get_backbone
from dgl.tf_compat import tf

BATCH, RATE, DECAY = 3, 0.01, 5e-4
IMAGES = np.random.RandomState(0).randint(0, 256, (BATCH, 32, 32, 3)).astype("uint8")
LABELS = np.array([2, 0, 1], "int32")


@contextlib.contextmanager
def tower(values, classes=4, **options):
    """A training tower of VGG; yields a function that runs names on the batch above, and variables."""
    recipe = make_recipe(
        options=options_of("vgg", classes, width=WIDTH, **options),
        batch=BATCH,
        base_lr=RATE,
        weight_decay=get_backbone("vgg").weight_decay,
    )
    with tf.Graph().as_default(), tf.Session() as session:
        model, image, label, cost = build_tower(recipe)
        model.optimizer().minimize(cost, name="step")
        session.run(tf.global_variables_initializer())
        variables = {v.op.name: v for v in tf.trainable_variables()}
        for name, value in values.items():
            variables[name].load(value, session)
        yield lambda *names: session.run(names, {image: IMAGES, label: LABELS}), variables


@pytest.mark.parametrize("norm", ["none", pytest.param("bn", marks=pytest.mark.slow)])
def test_weight_decay_is_that_of_kernels_alone(norm):
    values = vgg_variables(4, norm=norm)
    trained = {name: value for name, value in values.items() if not name.endswith("/EMA")}
    weights = [value for name, value in values.items() if name.endswith("/W")]
    assert len(weights) == 13 + 1 + 1
    with tower(trained, norm=norm) as (run, variables):
        assert set(variables) == set(trained)
        cost, loss = run("cost:0", "xentropy-loss:0")
    l2 = DECAY * sum((value.astype("float64") ** 2).sum() / 2 for value in weights)
    assert cost - loss == pytest.approx(l2, rel=1e-4)


@pytest.mark.slow
def test_two_steps_of_nesterov_momentum():
    """The head's bias: its gradient is the mean of softmax minus one-hot, without weight decay."""
    with tower(vgg_variables(4)) as (run, variables):
        bias = variables["linear/b"]
        expected, velocity = run(bias)[0].astype("float64"), np.zeros(4)
        for _ in range(2):
            logits = run("linear/output:0")[0].astype("float64")
            gradient = (softmax(logits) - np.eye(4)[LABELS]).mean(axis=0)
            velocity = 0.9 * velocity + gradient
            step = RATE * (gradient + 0.9 * velocity)
            assert np.abs(step).max() > 1e-4
            expected = expected - step
            run("step")
            np.testing.assert_allclose(run(bias)[0], expected, rtol=0, atol=1e-6)


def test_errors_are_those_of_the_logits():
    with tower(vgg_variables(8), 8) as (run, _):
        names = "linear/output:0 xentropy-loss:0 wrong-top1:0 wrong-top5:0 train-error-top5:0"
        logits, loss, top1, top5, mean = run(*names.split())
    cross_entropy = -np.log(softmax(logits.astype("float64"))[np.arange(BATCH), LABELS])
    assert loss == pytest.approx(cross_entropy.mean(), rel=1e-5)
    rank = (logits > logits[np.arange(BATCH), LABELS][:, None]).sum(axis=1)
    np.testing.assert_array_equal(top1, rank >= 1)
    np.testing.assert_array_equal(top5, rank >= 5)
    assert mean == pytest.approx((rank >= 5).mean())
