"""Networks behind the page: maps of a direct run, nothing computed twice, few networks in memory."""

import numpy as np
import pytest
from sample_images import blob_image

from dgl.data.views import demo_input
from dgl.errors import UserError
from dgl.predict.predictor import Predictor
from dgl.predict.session import Prediction
from dgl.serving.engine import Engine
from dgl.serving.models import SharedPredictor
from dgl.serving.sessions import Session


class Counted(SharedPredictor):
    """A predictor that notes what it was asked for."""

    asked = []

    def __call__(self, *args, **kwargs):
        Counted.asked.append(list(kwargs["entries"]))
        return super().__call__(*args, **kwargs)


@pytest.fixture(scope="module")
def engine(small_vgg):
    with Engine([small_vgg], gpu="-1", make=Counted) as engine:
        yield engine


@pytest.fixture
def session():
    return Session(blob_image(1)[::3, ::3], "photo.png")


@pytest.fixture(scope="module")
def direct(small_vgg):
    with Predictor("vgg", small_vgg, ["all"], ["all"], gpu="-1", adjustable_alpha=True) as found:
        yield found


@pytest.mark.parametrize("alpha", [0.1, 10.0, float("inf")])
@pytest.mark.parametrize("entry", [("dgl", "conv5_2"), ("gradcam", "pool3"), ("center", "image")])
def test_maps_are_those_of_a_direct_run(engine, direct, session, entry, alpha):
    result = engine.predict(session, 0, [entry], 3, alpha)
    view = demo_input(session.image, direct.image_size)[np.newaxis]
    expected = direct(view, [3], entries=[entry], alpha=alpha)
    raw = expected.maps[entry][0]
    # The same arithmetic, but other kernels where weights are no constants: a ReLU may switch.
    np.testing.assert_allclose(result.maps[entry], raw, rtol=0, atol=1e-3 * np.abs(raw).max())
    np.testing.assert_allclose(result.scores.probability, expected.probability[0], atol=1e-5)
    assert result.class_index == 3


def test_the_class_is_the_most_probable_one_unless_said(engine, session):
    result = engine.predict(session, 0, [("dgl", "add")])
    assert result.class_index == int(np.argmax(result.scores.logits)) == result.scores.predicted


def test_nothing_runs_twice_and_what_is_missing_does(engine, session):
    entry, layers = ("dgl", "conv5_2"), engine.models[0].entries("dgl")
    first = engine.predict(session, 0, [entry])
    for class_index in (None, first.class_index):
        again = engine.predict(session, 0, [entry], class_index)
        assert again.maps[entry] is first.maps[entry]
    assert session.runs == 1
    assert list(engine.predict(session, 0, layers).maps) == layers
    assert set(layers) - set(Counted.asked[-1]) == {entry}


@pytest.mark.parametrize(
    "method, matters",  # whether another class and another alpha matter
    [
        ("dgl", (True, True)),
        ("gradcam", (True, False)),
        ("cam", (True, False)),
        ("eigencam", (False, False)),
        ("center", (False, False)),
    ],
)
def test_runs_anew_for_what_a_map_hangs_on(engine, session, method, matters):
    entry = engine.models[0].entry(method, 2)
    base, *others = (
        engine.predict(session, 0, [entry], class_index, alpha).maps[entry]
        for class_index, alpha in ((1, 10.0), (2, 10.0), (1, 0.5))
    )
    assert session.runs == 1 + sum(matters)
    assert tuple(not np.array_equal(base, other) for other in others) == matters


class Pretended:
    """In place of a network: maps of ones, and a note of whether it is closed."""

    made, image_size, is_closed = [], 64, False

    def __init__(self, *_, **__):
        Pretended.made.append(self)

    def __call__(self, images, class_index, entries, alpha):
        assert not self.is_closed
        scores = np.zeros((1, 5), np.float32)
        maps = {entry: np.ones((1, 2, 2), np.float32) for entry in entries}
        return Prediction(np.array(class_index or [0]), scores, scores, maps)

    def close(self):
        self.is_closed = True


def closed():
    return [made.is_closed for made in Pretended.made]


def test_few_networks_in_memory(small_vgg, session):
    del Pretended.made[:]
    with Engine([small_vgg] * 3, keep=2, make=Pretended) as engine:
        for checkpoint in (0, 1, 0):
            engine.predict(session, checkpoint, [("dgl", "add")])
        assert closed() == [False, False]
        engine.predict(session, 0, [("dgl", "add")], 1)  # used again, so that the other one goes
        engine.predict(session, 2, [("dgl", "add")])
        assert closed() == [False, True, False]
        engine.predict(session, 1, [("dgl", "add")])  # is remembered, and needs no network
        assert len(Pretended.made) == 3
    assert all(closed())


def test_scores_that_are_not_finite(small_vgg, session):
    class Broken(Pretended):
        def __call__(self, *args, **kwargs):
            prediction = super().__call__(*args, **kwargs)
            return prediction._replace(logits=np.full((1, 5), np.nan, np.float32))

    with Engine([small_vgg], make=Broken) as engine, pytest.raises(UserError, match="not finite"):
        engine.predict(session, 0, [("dgl", "add")])
