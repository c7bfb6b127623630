"""The section `peers`: checks of maps, ratios, and tables."""

from types import SimpleNamespace

import numpy as np
import pytest
from refusals import check_refusal

from benchmarks.speed import contenders, contest, formulas, network, photos
from benchmarks.speed.workers import Setup
from dgl.predict.predictor import Predictor

ROUNDS, SIZE = 3, 64


@pytest.fixture
def parts():
    """Activation, class gradient and loss gradient, (2, 5, 6, 6)."""
    rng = np.random.RandomState(0)
    return [np.abs(rng.normal(size=(2, 5, 6, 6)))] + [rng.normal(size=(2, 5, 6, 6)) for _ in "gl"]


def test_formulas_place_by_place(parts):
    s, g, loss = parts
    image, y, x = 1, 2, 3
    own, gradient = s[image, :, y, x], g[image, :, y, x]
    enhanced = own / np.linalg.norm(s[image]) - loss[image, :, y, x] / np.linalg.norm(loss[image])
    means = g[image].reshape(5, -1).mean(axis=1)
    wanted = {
        "dgl": gradient @ enhanced,
        "gradcam_sum": means @ own,
        "gradcam": max(means @ own, 0),
        "layercam": gradient.clip(0) @ own,
        "hirescam": max(gradient @ own, 0),
    }
    assert set(wanted) == set(formulas.FORMULAS)
    for name, value in wanted.items():
        assert formulas.FORMULAS[name](*parts)[image, y, x] == pytest.approx(value), name


def test_wrong_maps_do_not_agree(parts):
    names = ["dgl", "gradcam_sum", "layercam", "hirescam"]
    maps = [formulas.FORMULAS[name](*parts) for name in names]
    for found in maps:
        assert sum(formulas.compare(found, wanted)["agrees"] for wanted in maps) == 1
    good = maps[0]
    for wrong in (good[::-1], np.zeros_like(good), good * np.nan, good.transpose(0, 2, 1)):
        assert not formulas.compare(wrong, good)["agrees"]
    with pytest.raises(ValueError):
        formulas.compare(good[:1], good)


class Fixed:
    """A library that takes so many seconds an image."""

    def __init__(self, factor):
        self.factor = factor

    def time(self, case, classes, calls, warm_up, sized=False):
        seconds = self.factor * case.batch * (1 if case.what == "forward" else 2)
        resized = [seconds + 1] * calls if sized else None
        return {"seconds": [seconds] * calls, "sized": resized, "outside": None}


@pytest.fixture(scope="module")
def contested():
    """Times of all contenders: PyTorch's twice as long as ours, maps twice as long again."""
    workers = {"ours": Fixed(1), "pytorch": Fixed(2), "keras_vis": Fixed(3)}
    present = list(contenders.CONTENDERS.values())
    return contest.time_all(workers, present, [0] * 8, ROUNDS, True)


def test_ratios_pair_like_with_like(contested):
    rows = contest.ratio_rows(contenders.RATIOS, contested, {})
    found = {(row["name"], row["layer"], row["batch"]): row for row in rows}
    assert found["DGL / forward pass", "conv5_2", 8]["ratio"]["median"] == 2
    assert found["PyTorch's forward pass / forward pass", "", 1]["ratio"]["median"] == 2
    assert found["captum LayerGradCam / DGL", "conv3_3", 1]["ratio"]["median"] == 2
    # 32 seconds of theirs, 16 of ours and one more for resizing.
    resized = found["pytorch-grad-cam LayerCAM / DGL", "conv5_2", 8]["ratio"]["median"]
    assert resized == pytest.approx(32 / 17.0, abs=1e-3)
    bound = {"kind": "at most", "bound": 1.25, "met": False}
    assert found["DGL / forward pass", "conv5_2", 8]["bound"] == bound
    assert found["captum LayerGradCam / DGL", "conv5_2", 8]["bound"]["met"]
    assert "bound" not in found["captum LayerGradCam / DGL", "conv5_2", 1]


class InProcess:
    """A library without a process of its own."""

    def __init__(self, library, images, spoil=None):
        self._library, self._images, self._spoil = library, images, spoil

    def maps(self, case, classes, folder):
        case, size = case._replace(what=self._spoil or case.what), case.batch
        outcome = self._library.prepare(case, self._images[:size], classes[:size])()
        return {"maps": outcome.maps, "logits": outcome.logits}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The libraries on a small network, and their images."""
    pytest.importorskip("torch")
    from benchmarks.speed.workers import autograd, pytorch

    folder, images = tmp_path_factory.mktemp("small"), photos.batch(8, SIZE)
    setup = Setup(str(folder / "weights.npz"), str(folder / "images.npy"), 2)
    network.write(setup.weights, width=0.125, classes=7)
    np.save(setup.images, images)
    libraries = {"autograd": autograd.Library(setup), "pytorch": pytorch.Library(setup)}
    return SimpleNamespace(images=images, setup=setup, **libraries)


def _check(small, one, spoil=None):
    workers = {
        "autograd": InProcess(small.autograd, small.images),
        one.library: InProcess(getattr(small, one.library), small.images, spoil),
    }
    return contest.check(workers, [one], list(range(7)) + [0], "")


@pytest.mark.peer
@pytest.mark.parametrize(
    "key", [key for key, one in contenders.CONTENDERS.items() if one.library == "pytorch"]
)
def test_peers_do_what_they_publish_and_nothing_else_passes(small, key):
    one = contenders.CONTENDERS[key]
    if one.missing():
        pytest.skip(one.missing())
    (row,) = _check(small, one)
    assert row["agrees"]
    other = {"captum": "layercam", "layercam": "gradcam"}.get(one.what, "layercam")
    if one.formula and one.layer != "add":
        pytest.importorskip("pytorch_grad_cam")  # whose map is the wrong one
        check_refusal("differs from its published formula", _check, small, one, other)


@pytest.mark.peer
@pytest.mark.parametrize("layer", contest.LAYERS)
@pytest.mark.parametrize("alpha", [None, "inf"])
def test_our_maps_are_what_autograd_says(small, layer, alpha):
    options = {"alpha": float(alpha)} if alpha else {}
    options.update(image_size=SIZE, gpu="-1")
    with Predictor("vgg", small.setup.weights, [layer], ("dgl",), **options) as predictor:
        found = predictor(small.images[:2], [1, 2]).maps["dgl", layer]
    one = contest.Contender("", layer, "autograd", "dgl", {"alpha": alpha} if alpha else {}, "dgl")
    call = small.autograd.prepare(one.case(2), small.images[:2], [1, 2])
    assert formulas.compare(found, call().maps)["agrees"]
