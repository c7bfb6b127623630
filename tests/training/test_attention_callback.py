"""Attention maps in a training: the choice of images, the graph, images and maps that are damaged."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from networks import options_of
from sample_images import write_list
from small_trainings import BOXES, CLASSES, build_tower, make_recipe, rows_of

from dgl.backbones import get_backbone
from dgl.data.layouts import load_data
from dgl.data.sample import Sample
from dgl.tf_compat import tf
from dgl.training.attention_callback import (
    AttentionCallback,
    AttentionImages,
    choose_images,
    default_measured,
    spread_over_classes,
)
from dgl.training.trainer import is_complete


def make_samples(sizes):
    """``sizes[c]`` samples of class ``c``, class after class, as in CUB's list."""
    return [
        Sample(f"{label}/{n}.jpg", f"/{label}/{n}.jpg", label, ((1.0, 2.0, 30.0, 40.0),))
        for label, size in enumerate(sizes)
        for n in range(size)
    ]


@pytest.mark.parametrize("count", [0, 1, 4, 7, 9, 40])
@pytest.mark.parametrize("sizes", [(5, 5, 5, 5), (1, 9, 2), (3,), (0, 4, 0, 4)])
def test_images_are_spread_over_classes(sizes, count):
    samples = make_samples(sizes)
    chosen = spread_over_classes(samples, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(samples))
    assert set(chosen) <= set(samples)
    counts = Counter(sample.class_index for sample in chosen)
    most = max(counts.values(), default=0)
    assert all(counts[label] >= min(size, most - 1) for label, size in enumerate(sizes))


def test_few_images_of_many_classes_come_from_the_whole_list():
    chosen = spread_over_classes(make_samples([2] * 1000), 8)
    assert [sample.class_index for sample in chosen] == [0, 125, 250, 375, 500, 625, 750, 875]


def test_drawn_images_are_among_the_measured_ones():
    numbers = {1: 20, 200: 20, 1000: 100, 2000: 200, 256000: 200}
    assert {images: default_measured(images) for images in numbers} == numbers
    images = choose_images(make_samples([5] * 6), 4, 12, ("conv5_3", "conv5_2"))
    assert (len(images.drawn), len(images.measured)) == (4, 12)
    assert set(images.drawn) <= set(images.measured)


@pytest.mark.parametrize(
    "mode, data_format",
    [
        ("vgg", "channels_last"),
        ("vgg", "channels_first"),
        pytest.param("resnet50", "channels_first", marks=pytest.mark.slow),
        pytest.param("inceptionv3", "channels_last", marks=pytest.mark.slow),
    ],
)
def test_the_maps_of_every_network_need_no_more_variables(mode, data_format):
    options = options_of(mode, CLASSES, width=0.0625, data_format=data_format)
    recipe, layers = make_recipe(mode, options, image_size=96), get_backbone(mode).layers[:2]
    with tf.Graph().as_default():
        build_tower(recipe)
        before = [variable.name for variable in tf.global_variables()]
        callback = AttentionCallback(recipe, AttentionImages([], [], layers), str)
        callback.setup_graph(SimpleNamespace(_vs_name_for_predictor=lambda device: ""))
        assert [variable.name for variable in tf.global_variables()] == before
    assert list(callback._maps) == list(layers)
    sides = [tensor.shape.as_list()[1:] for tensor in callback._maps.values()]
    assert all(1 <= rows == columns < 96 for rows, columns in sides)


RAMP = np.linspace(0, 1, 36).reshape(6, 6)


class Session:
    """A session that gives the same map for every image, or raises an error."""

    def __init__(self, error=None, score_map=RAMP):
        self.fed, self._error, self._map = [], error, score_map

    def run(self, fetches, feed):
        self.fed.append(feed["label"])
        if self._error is not None:
            raise self._error
        return [[self._map] * len(feed["label"]) for _ in fetches]


@pytest.fixture
def trigger_twice(tmp_path, monkeypatch):
    """Trigger a callback with images of which some are damaged: (tags, scalars, warnings)."""

    def trigger(session, damaged=()):
        write_list(tmp_path, "val", rows_of(8, boxes=BOXES, ending=".png"))
        for name in damaged:
            (tmp_path / "val" / name).write_bytes(b"no image")
        samples = load_data(str(tmp_path), "val", with_boxes=True).samples
        images = choose_images(samples, 3, 6, ("add",))
        callback = AttentionCallback(make_recipe(batch=4), images, "class {}".format)
        callback._maps, callback._input, callback._label = {"add": None}, "image", "label"
        tags, scalars, warnings = [], [], []
        monkeypatch.setattr(
            "dgl.training.attention_callback.logger.warning",
            lambda text, *args: warnings.append(text % args),
        )
        monitors = SimpleNamespace(
            put_summary=lambda summary: tags.append(summary.value[0].tag),
            put_scalar=lambda *scalar: scalars.append(scalar),
        )
        callback.trainer = SimpleNamespace(sess=session, monitors=monitors)
        callback.trigger()
        callback.trigger()
        return tags, scalars, warnings

    return trigger


def test_an_image_that_cannot_be_read_is_left_out(trigger_twice):
    session = Session()
    tags, scalars, (warning,) = trigger_twice(session, damaged=["1.png"])
    assert tags == 2 * ["maps/0 class 0", "maps/2 class 2"]
    assert [len(labels) for labels in session.fed] == 2 * [4, 1]
    assert [name for name, _ in scalars] == 2 * ["val-gt-known"]
    assert "1.png" in warning
    # Without any image there is no scalar.
    session = Session()
    tags, scalars, warnings = trigger_twice(session, damaged=[f"{n}.png" for n in range(8)])
    assert (tags, scalars, session.fed, len(warnings)) == ([], [], [], 6)


def test_training_continues_without_maps_if_memory_is_short(trigger_twice):
    session = Session(tf.errors.ResourceExhaustedError(None, None, "out of memory"))
    tags, scalars, (warning,) = trigger_twice(session)
    assert (tags, scalars, len(session.fed)) == ([], [], 1)
    assert "out of memory" in warning


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_that_is_not_finite_has_no_box(trigger_twice, bad):
    tags, scalars, warnings = trigger_twice(Session(score_map=np.full((6, 6), bad)))
    assert len(tags) == 2 * 3 and not warnings
    assert scalars == 2 * [("val-gt-known", 0.0)]


def test_an_epoch_is_complete_after_its_measurements():
    recipe, images = make_recipe(epochs=7), AttentionImages([], make_samples([1]), ("add",))
    row = {"epoch_num": 2, "global_step": 4}
    assert is_complete(recipe, None, row) and not is_complete(recipe, images, row)
    assert is_complete(recipe, images, {**row, "val-gt-known": 0.5})
    assert not is_complete(recipe, images, {**row, "epoch_num": 5, "val-gt-known": 0.5})
    # A finished run of a version that did not measure it is not continued.
    assert is_complete(recipe, images, {**row, "epoch_num": 7, "val-error-top1": 0.5})
