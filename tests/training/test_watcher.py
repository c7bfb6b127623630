"""What watches a training: the graph that it adds; images and maps that are no good."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import write_list
from watched_images import CLASSES, SIZE, WATCHED, rows_of

from dgl.backbones import BuildOptions, get_backbone
from dgl.data.layouts import load_data
from dgl.tf_compat import tf
from dgl.training.attention_callback import Watcher
from dgl.training.attention_images import Watching, choose_watching
from dgl.training.model import ClassifierModel
from dgl.training.recipe import Recipe

from tensorpack.tfutils.tower import TowerContext  # isort: skip


@pytest.fixture
def built():
    """Build a training graph and then what is watched; (watcher, variables before, variables after)."""

    def build(mode, data_format="channels_last"):
        backbone = get_backbone(mode)
        options = BuildOptions(CLASSES, backbone.head_name(None, CLASSES), width=0.125,
                               data_format=data_format)  # fmt: skip
        recipe = Recipe(mode, options, 96, 4, 1, 1, 1, 0.01)
        names = [backbone.layers[0], backbone.layers[1]]
        with tf.Graph().as_default():
            model = ClassifierModel(recipe)
            image, label = (tf.placeholder(s.dtype, s.shape, s.name) for s in model.inputs())
            with TowerContext("", is_training=True):
                model.build_graph(image, label)
            before = [variable.name for variable in tf.global_variables()]
            watcher = Watcher(recipe, Watching([], [], tuple(names)), str)
            watcher.setup_graph(SimpleNamespace(_vs_name_for_predictor=lambda device: ""))
            after = [variable.name for variable in tf.global_variables()]
        return watcher, before, after

    return build


@pytest.mark.parametrize(
    "mode, data_format",
    [
        ("vgg", "channels_last"),
        ("vgg", "channels_first"),
        ("resnet50", "channels_first"),
        ("inceptionv3", "channels_last"),
    ],
)
def test_every_network_can_be_watched_without_a_variable_more(built, mode, data_format):
    watcher, before, after = built(mode, data_format)
    assert before == after
    maps = watcher._tower.maps
    assert list(maps) == list(get_backbone(mode).layers[:2])
    sides = {layer: tensor.shape.as_list()[1:] for layer, tensor in maps.items()}
    # A map has the rows and columns of its activation, which are fewer than the image's.
    assert all(1 <= rows == columns < 96 for rows, columns in sides.values())


class Session:
    """In place of a session: the same map for every image, or an error."""

    def __init__(self, error=None):
        self.fed, self._error = [], error

    def run(self, fetches, feed):
        self.fed.append(feed)
        if self._error is not None:
            raise self._error
        ramp = np.linspace(0, 1, 36).reshape(6, 6)
        return {layer: [ramp] * len(feed["image"]) for layer in fetches}


@pytest.fixture
def looked(tmp_path, monkeypatch):
    """Let a watcher look on twice, at images of which some are damaged."""
    warnings = []
    monkeypatch.setattr(
        "dgl.training.attention_callback.logger.warning",
        lambda text, *args: warnings.append(text % args),
    )

    def look(session, damaged=()):
        write_list(tmp_path, "val", rows_of(8))
        for name in damaged:
            (tmp_path / "val" / name).write_bytes(b"no image")
        samples = load_data(str(tmp_path), "val").samples
        watching = choose_watching(samples, WATCHED, 6, ("add",))
        options = BuildOptions(CLASSES, "linear")
        watcher = Watcher(
            Recipe("vgg", options, SIZE, 4, 1, 1, 1, 0.01), watching, "class {}".format
        )
        watcher._tower = SimpleNamespace(maps={"add": None}, image="image", label="label")
        tags, scalars = [], []
        monitors = SimpleNamespace(
            put_summary=lambda summary: tags.append(summary.value[0].tag),
            put_scalar=lambda *scalar: scalars.append(scalar),
        )
        watcher.trainer = SimpleNamespace(sess=session, monitors=monitors)
        watcher.trigger()
        watcher.trigger()
        return tags, scalars, warnings

    return look


def test_a_picture_that_cannot_be_read_is_named_once_and_left_out(looked):
    """The second of six that are measured, three of which are drawn."""
    session = Session()
    tags, scalars, warnings = looked(session, damaged=["1.png"])
    assert tags == 2 * ["maps/0 class 0", "maps/2 class 2"]
    assert [len(feed["label"]) for feed in session.fed] == 2 * [4, 1]
    assert [name for name, _ in scalars] == 2 * ["val-gt-known"]
    (warning,) = warnings
    assert "1.png: not an image" in warning and warning.endswith("left out of what is watched")


def test_without_a_picture_there_is_no_scalar(looked):
    session = Session()
    tags, scalars, warnings = looked(session, damaged=[f"{n}.png" for n in range(8)])
    assert (tags, scalars, session.fed, len(warnings)) == ([], [], [], 6)


def test_memory_that_does_not_suffice_ends_the_watching_alone(looked):
    session = Session(tf.errors.ResourceExhaustedError(None, None, "out of memory"))
    tags, scalars, warnings = looked(session)
    assert (tags, scalars, len(session.fed)) == ([], [], 1)
    (warning,) = warnings
    assert "training goes on: out of memory" in warning


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_that_is_not_finite_is_one_without_a_box(looked, bad):
    session = Session()
    session.run = lambda fetches, feed: {"add": [np.full((6, 6), bad)] * len(feed["image"])}
    tags, scalars, warnings = looked(session)
    assert len(tags) == 2 * WATCHED and not warnings
    assert scalars == 2 * [("val-gt-known", 0.0)]


def test_the_row_of_an_epoch_tells_whether_it_was_watched():
    """With ``json``, as a resume reads it."""
    from dgl.training.trainer import _is_over

    recipe = Recipe("vgg", BuildOptions(CLASSES, "linear"), SIZE, 4, 1, 1, 7, 0.01)
    watching = Watching([], rows_of(1), ("add",))
    row = json.loads('{"epoch_num": 2, "global_step": 4}')
    assert _is_over(recipe)(row) and not _is_over(recipe, watching)(row)
    assert _is_over(recipe, watching)(dict(row, **{"val-gt-known": 0.5}))
    due = dict(row, epoch_num=5, **{"val-gt-known": 0.5})
    assert not _is_over(recipe, watching)(due)
    # A finished run of a version that did not measure it is not begun again.
    assert _is_over(recipe, watching)(dict(row, epoch_num=7, **{"val-error-top1": 0.5}))
