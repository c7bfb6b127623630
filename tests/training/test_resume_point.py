"""Where a training goes on: epochs and steps out of a checkpoint's step and the rows of stats.json."""

import numpy as np
import pytest

from dgl.backbones import BuildOptions
from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.recipe import Recipe
from dgl.training.resume import beginning, find_point, place
from dgl.training.statistics import write_rows

STEPS = 10


def rows(*pairs):
    return [{"epoch_num": epoch, "global_step": step} for epoch, step in pairs]


def is_over(row):
    """Validation follows every fifth epoch."""
    return row["epoch_num"] % 5 or "error" in row


FIVE = rows((1, 10), (2, 20), (3, 30), (4, 40), (5, 50))


@pytest.mark.parametrize(
    "step, given, expected",
    [
        (3, [], (1, 7)),  # in the middle of the first epoch
        (10, [], (1, 0)),  # at its end, and its row is not there yet
        (10, rows((1, 10)), (2, 10)),
        (14, rows((1, 10)), (2, 6)),
        (20, rows((1, 10)), (2, 0)),
        (50, FIVE, (5, 0)),  # validation is still to do
        (50, FIVE[:4] + [dict(FIVE[4], error=0.5)], (6, 10)),
        (54, FIVE[:4] + [dict(FIVE[4], error=0.5)], (6, 6)),
        (45, rows((1, 15), (2, 30)), (3, 0)),  # longer epochs before
        (30, rows((1, 15), (2, 30)), (3, 10)),
        (5, rows((0, 0)), (1, 5)),  # tensorpack's row from before the first step
    ],
)
def test_place(step, given, expected):
    assert place(step, given, STEPS, is_over) == expected


def test_the_beginning():
    assert beginning(STEPS) == (None, 0, 1, STEPS, [])


@pytest.fixture
def recipe():
    options = BuildOptions(classes=3, head="linear", width=0.125, norm="none")
    return Recipe("vgg", options, 32, 2, 1, STEPS, 12, 0.01)


def write_checkpoint(folder, step, classes=3, with_step=True):
    from tiny import vgg_variables

    with tf.Graph().as_default(), tf.Session() as session:
        values = dict(vgg_variables(classes))
        if with_step:
            values["global_step"] = np.int64(step)
        saved = {name: tf.Variable(value) for name, value in values.items()}
        session.run(tf.global_variables_initializer())
        tf.train.Saver(saved).save(session, str(folder / "model"), step, write_meta_graph=False)
    return str(folder / f"model-{step}")


def test_rows_of_later_steps_are_dropped(tmp_path, recipe):
    prefix = write_checkpoint(tmp_path, 14)
    write_rows(str(tmp_path), rows((1, 10), (2, 20)))
    point = find_point(str(tmp_path), recipe, is_over)
    assert point == (prefix, 14, 2, 6, rows((1, 10)))


def test_nothing_to_resume(tmp_path, recipe):
    assert find_point(str(tmp_path), recipe, is_over) == beginning(STEPS)


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"classes": 4}, "another network than --mode vgg"),
        ({"with_step": False}, "has no global_step; expected a checkpoint of a training"),
    ],
)
def test_what_cannot_go_on_is_told(tmp_path, recipe, settings, text):
    write_checkpoint(tmp_path, 14, **settings)
    with pytest.raises(UserError, match=text):
        find_point(str(tmp_path), recipe, is_over)


def test_a_finished_run_needs_no_flags_of_its_network(tmp_path, recipe):
    write_checkpoint(tmp_path, 120, classes=4)
    write_rows(str(tmp_path), rows((12, 120)))
    assert find_point(str(tmp_path), recipe, is_over).epoch == 13
