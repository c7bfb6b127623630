"""The validation error of several ranks, and ``--val``."""

from types import SimpleNamespace

import fake_horovod
import numpy as np
import pytest
from networks import vgg_variables
from sample_images import blob_image, plain, write_list
from train_flags import parse

from dgl.backbones import BuildOptions
from dgl.data.layouts import load_data
from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.distributed import SINGLE, Ranks
from dgl.training.recipe import Recipe
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
    rows = [(f"{n}.png", blob_image(n, 40, 40), 0, ()) for n in range(images)]
    write_list(tmp_path, "val", rows)
    samples = load_data(str(tmp_path), "val").samples
    rounds, fed = [], []
    recipe = Recipe("vgg", BuildOptions(2, "linear"), 32, 2, 1, 5, 3, 0.01, workers=1)
    ranks = Ranks(rank, size, 0, 1)
    runner = ValidationRunner(recipe, samples, ranks, lambda: rounds.append(1))
    runner.infs = []
    runner._input_source = SimpleNamespace(reset_state=lambda: None)
    runner._hooked_sess = SimpleNamespace(run=lambda fetches: fed.append(fetches))
    runner.trigger()
    assert (len(fed), len(rounds)) == (own, batches)


@pytest.fixture
def data(tmp_path):
    write_list(tmp_path / "data", "val", [("c.jpg", plain(9), 3, [(1, 2, 30, 31)])])
    return tmp_path / "data"


def store(tmp_path, classes):
    path = str(tmp_path / "weights.npz")
    save_npz(path, vgg_variables(classes))
    return path


def test_val_prints_the_errors_of_a_checkpoint(data, tmp_path, capsys):
    load = store(tmp_path, 7)
    args = parse("--val", "--load", load, "--final-size", 32, "--gpu=-1", data=data)
    assert run(args, "vgg") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ": " in line]
    printed = dict(line.split(": ") for line in lines)
    assert printed["images"] == "1"
    assert printed["top1_error"] in ("0.0", "100.0")
    assert printed["top5_error"] in ("0.0", "100.0")


def test_val_refuses_labels_beyond_the_classes_of_the_checkpoint(data, tmp_path):
    args = parse("--val", "--load", store(tmp_path, 2), "--gpu=-1", data=data)
    with pytest.raises(UserError, match=r"class 3 .* 0 to 1"):
        run(args, "vgg")


def test_val_needs_load(data):
    with pytest.raises(UserError, match="--load"):
        run(parse("--val", data=data), "vgg")
