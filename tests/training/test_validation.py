"""The validation error of several ranks, and ``--val``."""

from types import SimpleNamespace

import fake_horovod
import numpy as np
import pytest
from networks import vgg_variables
from refusals import check_refusal
from sample_images import plain, write_list
from small_trainings import make_recipe, parse, rows_of

from dgl.data.layouts import load_data
from dgl.tf_compat import tf
from dgl.training.distributed import SINGLE, Ranks
from dgl.training.resolve import run
from dgl.training.validation import SummedError, ValidationRunner
from dgl.weights import save_npz


@pytest.mark.parametrize("ranks", [SINGLE, Ranks(1, 2, 1, 2)])
def test_the_error_is_a_fraction_of_all_images(monkeypatch, ranks):
    hvd = fake_horovod.install(monkeypatch, 2)
    # The other rank has 3 images, none of them wrong.
    monkeypatch.setattr(hvd, "allreduce", lambda tensor, op, name: tensor + [0, 3])
    with tf.Graph().as_default(), tf.Session() as session:
        error = SummedError("wrong", "val-error", ranks)
        error.setup_graph(SimpleNamespace(sess=session))
        error.before_epoch()
        error.on_fetches([np.array([1, 0])])
        error.on_fetches([np.array([1])])
        assert error._after_inference() == {"val-error": 2 / 3 if ranks.single else 2 / 6}


@pytest.mark.parametrize(
    "rank, size, images, own, batches", [(0, 1, 7, 4, 4), (1, 3, 7, 1, 2), (2, 3, 2, 0, 1)]
)
def test_all_ranks_have_as_many_rounds(tmp_path, rank, size, images, own, batches):
    write_list(tmp_path, "val", rows_of(images))
    samples = load_data(str(tmp_path), "val").samples
    rounds, fed = [], []
    recipe, ranks = make_recipe(workers=1), Ranks(rank, size, 0, 1)
    runner = ValidationRunner(recipe, samples, ranks, lambda: rounds.append(1))
    runner.infs = []
    runner._input_source = SimpleNamespace(reset_state=lambda: None)
    runner._hooked_sess = SimpleNamespace(run=lambda fetches: fed.append(fetches))
    runner.trigger()
    assert (len(fed), len(rounds)) == (own, batches)


@pytest.fixture
def val(tmp_path):
    """Run ``--val`` on an image of class 3, with a network of so many classes, if any."""
    write_list(tmp_path / "data", "val", [("c.jpg", plain(9), 3, [(1, 2, 30, 31)])])

    def call(classes=None):
        path = tmp_path / "weights.npz"
        if classes:
            save_npz(str(path), vgg_variables(classes))
        flags = ["--load", path, "--final-size", 32] if classes else []
        return run(parse("--val", "--gpu=-1", *flags, data=tmp_path / "data"), "vgg")

    return call


def test_val_prints_the_errors_of_a_checkpoint(val, capsys):
    assert val(7) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ": " in line]
    printed = dict(line.split(": ") for line in lines)
    assert printed["images"] == "1"
    assert {printed["top1_error"], printed["top5_error"]} <= {"0.0", "100.0"}


@pytest.mark.parametrize("classes, message", [(2, r"class 3 .* 0 to 1"), (None, "--load")])
def test_val_without_a_checkpoint_of_the_classes(val, classes, message):
    check_refusal(message, val, classes)
