"""Data sets through classifiers of others: right boxes by every format, and bad images among many."""

import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from cli_runs import write_graph
from own_process import call
from sample_images import blob_image, write_list
from trees import read_csv

from dgl.cli.parser import main
from dgl.data.image_io import encode_image
from dgl.data.views import GEOMETRIES, squash
from dgl.errors import UserError
from dgl.foreign import open_model
from dgl.predict.postprocess import binarize, largest_box, score_map
from dgl.tf_compat import tf

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_charts")]

SIDE, THRESHOLD = 32, "0.7"
KINDS = ("birds.keras", "birds.h5", "birds", "birds.pb", "birds.onnx")


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A folder with six images, and one network with its maps in every format; images and labels."""
    if tf.VERSION < "2.16":
        pytest.skip("no Keras 3")
    folder = tmp_path_factory.mktemp("birds")
    images = [blob_image(seed, 110 + 9 * seed, 180 - 9 * seed) for seed in range(6)]
    labels = [0, 1, 2, 0, 1, 2]
    rows = zip([f"bird{i}.png" for i in range(6)], images, labels, [[(10, 20, 90, 100)]] * 6)
    write_list(folder / "data", "val", rows, "birds")
    for path in (folder / "data" / "labels" / "birds" / "classes.txt", folder / "names.txt"):
        path.write_text("auk\nfinch\nowl")
    fixed = GEOMETRIES["fixed_threshold"].view
    squashed = np.float32([squash(image, (), SIDE)[0] for image in images])
    fixed_threshold = np.float32([fixed(image, [(1, 1, 2, 2)], SIDE).image for image in images])
    views = {"squashed": squashed, "fixed_threshold": fixed_threshold}
    np.savez(str(folder / "views.npz"), labels=labels, **views)
    call("foreign.write_keras", "write_birds", str(folder), "10")
    return folder, images, labels


@pytest.fixture
def once(monkeypatch, tmp_path):
    """A model of Keras is read by one process, which loads TensorFlow, for all commands of a test."""
    converted = {}

    def run(command, **options):
        path, out = command[3:5]
        if path not in converted:
            done = subprocess.run(command, **options)
            converted[path] = done, shutil.copytree(out, str(tmp_path / "kept"))
        done, kept = converted[path]
        for name in os.listdir(kept):
            shutil.copy(os.path.join(kept, name), out)
        return done

    monkeypatch.setattr(open_model, "subprocess", SimpleNamespace(run=run))


@pytest.mark.parametrize("kind", KINDS)
def test_birds_are_evaluated_and_labeled(kind, birds, once, tmp_path):
    """Classes and boxes are those of the model's own gradients, by Keras, and of the rule for boxes."""
    folder, images, labels = birds
    if kind.endswith(".onnx"):
        pytest.importorskip("onnx")
    common = ["--load", str(folder / kind), "--preprocess", "none", "--gpu", "-1"]
    common += ["--class-names", str(folder / "names.txt"), "--threshold", THRESHOLD]
    data, out, labeled = str(folder / "data"), tmp_path / "out", tmp_path / "labeled"
    flags = ["--data", data, "--clayer", "0", "--method", "dgl", "--protocol", "fixed_threshold"]
    flags += ["--out", str(out), "--gallery", "0", "--resamples", "0"]
    assert main(["evaluate", *common, *flags]) == 0
    flags = ["--out", str(labeled), "--format", "csv", "--split", "val"]
    assert main(["label", data, *common, *flags]) == 0
    (table,) = labeled.rglob("objects.csv")
    evaluated, objects = read_csv(out / "images.csv"), read_csv(table)
    assert [row["id"] for row in evaluated] == [f"bird{i}.png" for i in range(6)]
    assert [int(row["class_index"]) for row in objects] == labels
    sides, boxes = ("x0", "y0", "x1", "y1"), []
    with np.load(str(folder / "maps.npz")) as maps:
        for place, (row, found) in enumerate(zip(evaluated, objects)):
            assert int(row["predicted_index"]) == maps["fixed_threshold:logits"][place].argmax()
            resized = score_map(maps["fixed_threshold"][place].astype("f4"), SIDE, SIDE)
            (entry,) = {key.rpartition(":")[0] for key in row if key.startswith("dgl@")}
            boxes.append([float(row[f"{entry}:{side}"]) for side in sides])
            np.testing.assert_allclose(boxes[-1], largest_box(resized, float(THRESHOLD)), atol=1)
            size = images[place].shape[:2]
            scale = 224 / max(size)  # of the map that objects are looked for in
            height, width = (round(side * scale) for side in size)
            resized = score_map(maps["squashed"][place].astype("f4"), height, width)
            mask = binarize(resized, float(THRESHOLD))
            _, _, parts, _ = cv2.connectedComponentsWithStats(mask)
            x, y, w, h = parts[1:][parts[1:, cv2.CC_STAT_AREA].argmax(), :4]
            box = [float(found[side]) * scale for side in sides]
            np.testing.assert_allclose(box, [x, y, x + w, y + h], atol=1.5)
    assert len({tuple(box) for box in boxes}) > 3


def test_a_lambda_layer_is_refused(birds):
    load = ["--load", str(birds[0] / "lambda.keras"), "--fast"]
    with pytest.raises(UserError, match="has a Lambda layer, whose Python is not run"):
        main(["localize", str(birds[0] / "data" / "val" / "bird0.png"), *load])


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A network, and 120 lines: one is wrong, one has a cut image, one an image without a finite map."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.RandomState(0)
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, SIDE, SIDE, 3], "image")
        kernel = rng.standard_normal((3, 3, 3, 4)).astype("f4")
        # Black pixels have no logarithm.
        layer = tf.nn.relu(tf.nn.conv2d(tf.log(image), kernel, [1, 4, 4, 1], "SAME"), "layer")
        linear = rng.standard_normal((4, 3)).astype("f4")
        tf.nn.softmax(tf.matmul(tf.reduce_mean(layer, [1, 2]), linear))
        write_graph(folder / "log.pb")
    (folder / "labels" / "set").mkdir(parents=True)
    for split, count in (("val", 120), ("train", 20)):
        (folder / split).mkdir()
        lines = []
        for number in range(count):
            name = f"{split}{number:03}.png"
            pixels = rng.randint(1, 256, (SIDE, SIDE, 3)).astype("uint8")
            data = encode_image(pixels * (number != 80), ".png")
            if number != 50:
                (folder / split / name).write_bytes(data if number != 20 else data[:99])
            box = "1 2 30 40" if number != 50 else "1 2 x 40"
            lines.append(f"{name} {number % 3} {box}\n")
        (folder / "labels" / "set" / f"{split}.txt").write_text("".join(lines))
    return folder


def first_cells(path):
    return [next(iter(row.values())) for row in read_csv(path)]


FEW = "--clayer 0 --method dgl gradcam --resamples 0 --gallery 0 --protocol wsolevaluation".split()
RUNS = {
    "evaluate": (["--data", "{}"], FEW),
    "study": (["--data", "{}"], [*FEW, "--method", "dgl", "--alphas", "10", "--tune-limit", "9"]),
    "label": (["{}"], ["--format", "csv", "--split", "val"]),
    "localize": (["{}/val"], ["--no-drawings"]),
}


@pytest.mark.parametrize("command", RUNS)
def test_three_bad_ones_among_many(command, many, tmp_path):
    """Each is recorded with its reason, the exit code is 1, and everything else is done."""
    data, flags = RUNS[command]
    flags = [part.format(many) for part in data] + flags + ["--out", str(tmp_path)]
    load = ["--load", str(many / "log.pb"), "--preprocess", "none", "--workers", "2"]
    assert main([command, *flags, *load]) == 1
    bad = ["val020.png", "val080.png"]
    good = [f"val{n:03}.png" for n in range(120) if n not in (20, 50, 80)]
    if command in ("evaluate", "study"):
        assert first_cells(tmp_path / "errors.csv") == bad
        assert first_cells(tmp_path / "images.csv") == good
        (line,) = first_cells(tmp_path / "skipped.csv")
        assert "val.txt:51" in line
    elif command == "label":
        (table,) = tmp_path.rglob("objects.csv")
        assert {os.path.basename(name) for name in first_cells(table)} == set(good)
        skipped = (tmp_path / "skipped.csv").read_text(encoding="utf-8")
        assert "not finite" in skipped
        assert all(name in skipped for name in [*bad, "val.txt:51"])
    else:
        lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
        assert [os.path.basename(json.loads(line)["image"]) for line in lines] == good
