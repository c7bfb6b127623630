"""One training step of the real script, from a checkpoint on images that no crop or flip changes.

At the first step of Nesterov momentum a variable changes by ``-rate * (1 + momentum) * multiplier *
gradient``. The gradient is checked without backpropagation: along the change itself the cost, computed
by NumPy, has to fall as steeply as the change says.
"""

import numpy as np
import numpy_forward
import pytest
from networks import values_of, write_tensorflow
from sample_images import plain, write_list
from small_trainings import load_last, train

from dgl.backbones.published import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB
from dgl.training.log_folder import read_rows

SIZE, WIDTH = 32, 0.125
RATE, MOMENTUM, DECAY = 0.002, 0.9, 5e-4
COLORS = ((200, 30, 60), (20, 180, 90), (70, 80, 210), (128, 128, 20))
LABELS = (0, 40, 80, 120)
SCRIPTS = {
    "vgg": "dgl_vgg.py",
    "resnet50": "dgl_resnet.py",
    "resnet50se": "dgl_resnet.py --mode se",
}


def one_step(folder, mode):
    """Run a script's published flags for a step; (values before, values after, statistics)."""
    rows = [(f"{n}.png", plain(color, 60, 80), n, ()) for n, color in zip(LABELS, COLORS)]
    for split in ("train", "val"):
        write_list(folder / "data", split, rows, name="const4")
    (folder / "data" / "train").rename(folder / "data" / "images")
    before = values_of(mode, SIZE, classes=200, width=WIDTH, data_set="cub")
    load = write_tensorflow(folder / "start" / "model-7", before)
    script, _, flags = SCRIPTS[mode].partition(" ")
    flags += (
        f" --load {load} --cub --data data --dataname const4 --classnum 200 --base-lr 0.002 --batch 4 "
        f"--steps 1 --epoch 1 --logdir L --final-size {SIZE} --gpu=-1 --watch 0 --workers 0"
    )
    train(folder, flags, script=script)
    log = folder / "train_log" / "L"
    return before, load_last(log), read_rows(str(log))[-1]


def images():
    """float64 BGR (4, SIZE, SIZE, 3) in 0..255."""
    return np.stack([np.full((SIZE, SIZE, 3), color[::-1], float) for color in COLORS])


def vgg_cost(variables):
    mean, std = (255 * np.array(v[::-1]) for v in (IMAGENET_MEAN_RGB, IMAGENET_STD_RGB))
    image = numpy_forward.preprocess(images(), "bgr", mean, std)
    logits = numpy_forward.forward("vgg", image, variables, head="linear_cub")["logits"]
    logits = logits - logits.max(axis=1, keepdims=True)
    picked = logits[np.arange(len(LABELS)), LABELS]
    cross_entropy = (np.log(np.exp(logits).sum(axis=1)) - picked).mean()
    weights = [v for name, v in variables.items() if name.endswith("/W")]
    return cross_entropy + DECAY * sum((np.asarray(w, float) ** 2).sum() for w in weights) / 2


def multiplier(name):
    factor = 10 if name.split("/")[0] in ("add", "linear_cub") else 1
    return factor * (2 if name.endswith("/b") else 1)


@pytest.mark.slow
def test_a_step_of_vgg(tmp_path):
    before, after, statistics = one_step(tmp_path, "vgg")
    before = {name: np.asarray(v, float) for name, v in before.items()}
    assert statistics["cost"] == pytest.approx(vgg_cost(before), rel=1e-4)
    # Of 30 variables, the first, the last, and those of some layers between.
    layers = ("conv1_1", "conv3_2", "conv5_3", "add", "linear_cub")
    for name in (f"{layer}/{kind}" for layer in layers for kind in ("W", "b")):
        old = before[name]
        change = after[name] - old
        length = np.sqrt((change**2).sum())
        direction = change / length
        step = 1e-4 * max(1.0, np.sqrt((old**2).mean()))
        moved = ({**before, name: old + sign * step * direction} for sign in (1, -1))
        up, down = map(vgg_cost, moved)
        slope = (up - down) / (2 * step)
        expected = -length / (RATE * (1 + MOMENTUM) * multiplier(name))
        assert slope == pytest.approx(expected, rel=0.01), name


# BatchNorm over four constant images divides by variances near zero, which magnifies rounding: single
# precision and double agree on the cost and on what is trained, not on every gradient.
_TOLERANCE = {"vgg": (1e-4, 0.01), "resnet50": (0.01, None), "resnet50se": (0.01, None)}


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("mode", sorted(SCRIPTS))
def test_a_step_against_autograd(tmp_path, mode):
    torch = pytest.importorskip("torch")
    from torch_networks import Network, prepare

    before, after, statistics = one_step(tmp_path, mode)
    peer = Network(mode, before, training=True)
    trained = [n for n in before if not n.endswith("EMA")]
    for name in trained:
        peer.variables[name].requires_grad_()
    cost = torch.nn.functional.cross_entropy(peer(prepare(images())), torch.tensor(LABELS))
    if mode == "vgg":
        weights = [v for name, v in peer.variables.items() if name.endswith("/W")]
        cost = cost + DECAY * sum((w**2).sum() for w in weights) / 2
    cost.backward()
    cost_tolerance, change_tolerance = _TOLERANCE[mode]
    assert statistics["cost"] == pytest.approx(cost.item(), rel=cost_tolerance)
    for name in trained:
        change = after[name] - before[name].astype(float)
        assert np.any(change), name
        if change_tolerance:
            gradient = peer.variables[name].grad.numpy()
            expected = -RATE * (1 + MOMENTUM) * multiplier(name) * gradient
            error = np.linalg.norm(change - expected)
            assert error < change_tolerance * np.linalg.norm(expected), name
