"""Networks behind the page: maps of a direct run, nothing computed twice, few networks in memory."""

import numpy as np
import pytest
from sample_images import blob_image

from dgl.errors import UserError
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


def test_nothing_runs_twice_and_what_is_missing_does(engine, session):
    entry, layers = ("dgl", "conv5_2"), engine.models[0].entries("dgl")
    first = engine.predict(session, 0, [entry])
    assert first.class_index == int(np.argmax(first.scores.logits)) == first.scores.predicted
    runs = engine.runs
    for class_index in (None, first.class_index):
        again = engine.predict(session, 0, [entry], class_index)
        assert again.maps[entry] is first.maps[entry]
    assert engine.runs == runs and session.runs == 1
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

    made, image_size, is_closed, logit = [], 64, False, 0.0

    def __init__(self, *_, **__):
        Pretended.made.append(self)

    def __call__(self, images, class_index, entries, alpha):
        assert not self.is_closed
        scores = np.full((1, 5), self.logit, np.float32)
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


def test_scores_that_are_not_finite(small_vgg, session, monkeypatch):
    monkeypatch.setattr(Pretended, "logit", np.nan)
    with Engine([small_vgg], make=Pretended) as engine, pytest.raises(
        UserError, match="not finite"
    ):
        engine.predict(session, 0, [("dgl", "add")])
