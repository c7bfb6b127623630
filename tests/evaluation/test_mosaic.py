"""``--mosaic``: which images make mosaics, how they are drawn, and the game played on them."""

from types import SimpleNamespace

import numpy as np
import pytest
from command_runs import CLASSES, SIZE, metrics_of, parse, write_network
from PIL import Image
from refusals import check_refusal, refusal
from sample_images import blob_image, plain, write_list

from dgl.cli.evaluate import run
from dgl.data.sample import DataSet, Sample
from dgl.data.views import rgb_to_bgr, squash
from dgl.evaluation.layer_fusion import Fusion
from dgl.evaluation.mosaic import choose_mosaics, draw_mosaic, parse_grid, play, side_of
from dgl.evaluation.results import IMAGE_COLUMNS, image_key
from dgl.metrics.pointing_game import Grid
from dgl.metrics.records import Records
from dgl.predict.predictor import Predictor
from dgl.weights import save_npz


def test_grids():
    grid = parse_grid("2x3")
    assert grid == Grid(2, 3) and grid.tiles == 6 and side_of(grid, 100) == 300
    for text in ("1x1", "2", "2x", "5x2", "0x2", "2X2", "2x2x2", "-1x2"):
        assert refusal(parse_grid, text).startswith(f"--mosaic {text}: expected rows x columns")


def results_of(labels, probabilities, wrong=()):
    images = Records(IMAGE_COLUMNS)
    columns = dict.fromkeys(IMAGE_COLUMNS, np.zeros(len(labels)))
    ranks = [2 if i in wrong else 1 for i in range(len(labels))]
    columns.update(class_index=labels, class_probability=probabilities, rank=ranks)
    images.append([image_key(i) for i in range(len(labels))], **columns)
    return SimpleNamespace(images=images)


def test_mosaics_have_different_classes_and_the_most_probable_images_first():
    rng = np.random.RandomState(0)
    labels, probabilities = rng.randint(5, size=60), rng.uniform(0.3, 1, 60)
    results = results_of(labels, probabilities, wrong=range(10))
    mosaics = choose_mosaics(results, Grid(2, 2), seed=3)
    assert mosaics == choose_mosaics(results, Grid(2, 2), seed=3)
    assert mosaics != choose_mosaics(results, Grid(2, 2), seed=4)
    used = [position for mosaic in mosaics for position in mosaic]
    assert len(set(used)) == len(used) and min(used) >= 10
    assert all(len({labels[i] for i in mosaic}) == 4 for mosaic in mosaics)
    for label in range(5):
        own = [probabilities[i] for i in used if labels[i] == label]
        assert own == sorted(own, reverse=True) and min(own) > 0.5
    # Mosaics go on as long as four classes have images left.
    left = {labels[i] for i in range(10, 60) if probabilities[i] > 0.5 and i not in used}
    assert len(left) < 4
    results = results_of([0, 1, 2, 3], [0.9, 0.9, 0.9, 0.4])
    words = "2x2: expected images of 4 classes .* got 3"
    check_refusal(words, choose_mosaics, results, Grid(2, 2), 0)


@pytest.mark.parametrize("grid, side", [(Grid(2, 2), 8), (Grid(2, 3), 10)])
def test_tiles_fill_the_mosaic_row_by_row(grid, side):
    colors = [10 * (tile + 1) for tile in range(grid.tiles)]
    mosaic = draw_mosaic([plain(color) for color in colors], grid, side)
    assert mosaic.shape == (side, side, 3) and mosaic.min() == 10
    centers = mosaic[side // 4 :: side // 2][:2, side // 6 :: side // 3, 0]
    if grid.columns == 3:
        np.testing.assert_array_equal(centers[:, :3], np.reshape(colors, grid))
    for color in colors:
        assert (mosaic == color).sum() / 3 == pytest.approx(side**2 / grid.tiles, abs=side)


class Seeing:
    """``right`` sees where the color of the class is, ``wrong`` where another one is."""

    image_size = 24
    entries = [("right", "a"), ("right", "b"), ("wrong", "a")]

    def __init__(self):
        self.batches = []

    def __call__(self, images, class_index):
        self.batches.append(len(images))
        seen = [image[..., 0] == 20 * (label + 1) for image, label in zip(images, class_index)]
        right = np.stack(seen).astype("float32") - 0.5
        return SimpleNamespace(maps=dict(zip(self.entries, (right, right[:, ::3, ::3], -right))))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_game(tmp_path, workers):
    samples = []
    for label in range(4):
        path = str(tmp_path / f"{label}.png")
        Image.fromarray(plain(20 * (label + 1))).save(path)
        samples.append(Sample(str(label), path, label, ()))
    dataset = DataSet("colors", "folder", "val", samples, None, 4)
    fusion = Fusion("right", "mean", ("a", "b"))
    predictor, mosaics = Seeing(), [[0, 1, 2, 3], [3, 1, 0, 2]]
    found = play(predictor, dataset, mosaics, Grid(2, 2), [fusion], batch=3, workers=workers)
    assert sorted(predictor.batches) == [1, 1, 3, 3]  # mosaics may overlap
    assert list(found) == predictor.entries + [fusion.entry]
    results = {entry: evaluator.result() for entry, evaluator in found.items()}
    assert all(result["mosaics"] == 2 for result in results.values())
    assert results["right", "a"]["positive_share"] == pytest.approx(100, abs=1)
    wrong = results.pop(("wrong", "a"))
    assert wrong["share"] < 5 and wrong["hit"] == 0
    for result in results.values():
        # Interpolation blurs the border between tiles.
        assert result["share"] > 80 and result["hit"] == 100


@pytest.fixture(scope="module")
def recognizing(tmp_path_factory):
    """A checkpoint ``tiny.npz`` whose head is solved to recognize the five images beside it."""
    folder = tmp_path_factory.mktemp("mosaic")
    images = [blob_image(i + 1, 90 + 10 * i, 120) for i in range(5)]
    rows = [(f"{i}.png", image, i, [(20, 10, 90, 70)]) for i, image in enumerate(images)]
    write_list(folder / "data", "val", rows)
    variables = write_network(folder)
    with Predictor("vgg", str(folder / "tiny.npz")) as predictor:
        views = np.stack([rgb_to_bgr(squash(image, (), SIZE)[0]) for image in images])
        logits = predictor(views).logits.astype("float64")
    solved = np.linalg.lstsq(logits, 20 * np.eye(5, CLASSES), rcond=None)[0]
    for name in ("linear/W", "linear/b"):
        variables[name] = (variables[name] @ solved).astype("float32")
    save_npz(str(folder / "tiny.npz"), variables)
    return folder


def test_the_command(recognizing, quick_charts, tmp_path, capsys):
    flags = ["--protocol", "wsolevaluation", "--method", "dgl", "center", "--clayer", "1", "2"]
    flags += ["--fuse", "mean", "--resamples", "20", "--gallery", "0"]
    for name, more in (("plain", []), ("mosaic", ["--mosaic", "2x2"])):
        assert run(parse(recognizing, *flags, *more, "--out", tmp_path / name)) == 0
    assert "Grid pointing game, 1 mosaics of 2x2, % (chance 25.0)" in capsys.readouterr().out
    metrics = metrics_of(tmp_path / "mosaic")
    mosaic = metrics.pop("mosaic")
    assert metrics == metrics_of(tmp_path / "plain")
    plain, other = ((tmp_path / name / "records.json").read_bytes() for name in ("plain", "mosaic"))
    assert plain == other
    rows = {(row["method"], row["layer"]): row for row in mosaic["rows"]}
    assert list(rows) == [
        ("dgl", "conv5_3"), ("dgl", "conv5_2"), ("center", "image"), ("dgl", "mean(conv5_3+conv5_2)")
    ]  # fmt: skip
    assert rows["center", "image"]["share"] == pytest.approx(25, abs=0.1)
    assert len(rows["dgl", "conv5_2"]["share_interval"]) == 2
