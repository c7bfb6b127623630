"""The training graph against NumPy: cost, weight decay, momentum, gradient multipliers, errors."""

import numpy as np
import pytest
from networks import WIDTH, options_of, vgg_variables
from small_trainings import build_tower, make_recipe

from dgl.backbones import get_backbone
from dgl.tf_compat import tf
from dgl.training.recipe import decay

SIZE, BATCH, RATE, DECAY = 32, 3, 0.01, 5e-4
IMAGES = np.random.RandomState(0).randint(0, 256, (BATCH, SIZE, SIZE, 3)).astype("uint8")
LABELS = np.array([2, 0, 1], "int32")


VGG = {"batch": BATCH, "base_lr": RATE, "weight_decay": get_backbone("vgg").weight_decay}


def recipe_of(classes=4, **options):
    return make_recipe("vgg", options_of("vgg", classes, width=WIDTH, **options), **VGG)


class Graph:
    """A training tower in a graph of its own, one session, the batch above as its feed."""

    def __init__(self, recipe, values=None, minimize=False):
        self._graph = tf.Graph()
        with self._graph.as_default():
            model, image, label, self.cost = build_tower(recipe)
            self.variables = {v.op.name: v for v in tf.trainable_variables()}
            if minimize:
                self.step = model.optimizer().minimize(self.cost)
            self._session = tf.Session()
            self._session.run(tf.global_variables_initializer())
            for name, value in (values or {}).items():
                self.variables[name].load(value, self._session)
        self._feed = {image: IMAGES, label: LABELS}

    def run(self, fetches):
        return self._session.run(fetches, self._feed)

    def tensor(self, name):
        return self._graph.get_tensor_by_name(name + ":0")

    def has(self, operation):
        return any(op.name == operation for op in self._graph.get_operations())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()


def softmax(logits):
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def cross_entropy(logits):
    return -np.log(softmax(logits.astype("float64"))[np.arange(BATCH), LABELS]).mean()


def l2_of(values):
    weights = [value for name, value in values.items() if name.endswith("/W")]
    assert len(weights) == 13 + 1 + 1
    return DECAY * sum((value.astype("float64") ** 2).sum() / 2 for value in weights)


def test_vgg_cost_is_cross_entropy_plus_weight_decay():
    values = vgg_variables(4)
    assert all(bool(decay(recipe_of(), name)) == name.endswith("/W") for name in values)
    with Graph(recipe_of(), values) as graph:
        tensors = [graph.cost, graph.tensor("xentropy-loss"), graph.tensor("linear/output")]
        cost, loss, logits = graph.run(tensors)
    assert loss == pytest.approx(cross_entropy(logits), rel=1e-5)
    assert l2_of(values) > 0.01 * loss
    assert cost == pytest.approx(loss + l2_of(values), rel=1e-5)


@pytest.mark.slow
def test_batch_norm_has_no_weight_decay():
    values = vgg_variables(4, norm="bn")
    trained = {name: value for name, value in values.items() if not name.endswith("/EMA")}
    with Graph(recipe_of(norm="bn"), trained) as graph:
        assert set(graph.variables) == set(trained)
        cost, loss = graph.run([graph.cost, graph.tensor("xentropy-loss")])
    assert cost - loss == pytest.approx(l2_of(values), rel=1e-4)


@pytest.mark.slow
def test_two_steps_of_nesterov_momentum():
    """The head's bias: its gradient is the mean of softmax minus one-hot, without weight decay."""
    one_hot = np.eye(4)[LABELS]
    with Graph(recipe_of(), vgg_variables(4), minimize=True) as graph:
        bias = graph.variables["linear/b"]
        expected, velocity = graph.run(bias).astype("float64"), np.zeros(4)
        for _ in range(2):
            logits = graph.run(graph.tensor("linear/output")).astype("float64")
            gradient = (softmax(logits) - one_hot).mean(axis=0)
            velocity = 0.9 * velocity + gradient
            step = RATE * (gradient + 0.9 * velocity)
            assert np.abs(step).max() > 1e-4
            expected = expected - step
            graph.run(graph.step)
            np.testing.assert_allclose(graph.run(bias), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("classes, shown", [(5, False), (6, True)])
def test_top5_error_only_with_more_than_five_classes(classes, shown):
    with Graph(recipe_of(classes=classes)) as graph:
        assert graph.has("wrong-top1") and graph.has("wrong-top5") is shown
        assert graph.has("train-error-top5") is shown


def test_errors_are_those_of_the_logits():
    with Graph(recipe_of(classes=8), vgg_variables(8)) as graph:
        names = "linear/output wrong-top1 wrong-top5 train-error-top5".split()
        logits, top1, top5, mean = graph.run(list(map(graph.tensor, names)))
    rank = (logits > logits[np.arange(BATCH), LABELS][:, None]).sum(axis=1)
    np.testing.assert_array_equal(top1, rank >= 1)
    np.testing.assert_array_equal(top5, rank >= 5)
    assert mean == pytest.approx((rank >= 5).mean())
