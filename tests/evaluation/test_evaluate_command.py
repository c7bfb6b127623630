"""`evaluate_localization.py` from flags to files, with a small VGG."""

import base64
import csv
import json
import os
import runpy
import sys

import numpy as np
import pytest
from command_runs import CLASSES, IMAGES, SIZE, entries_of, parse
from networks import WIDTH, vgg_variables
from sample_images import blob_image, write_list

from dgl.cli.evaluate import make_parser, run
from dgl.data.image_io import read_image
from dgl.errors import UserError
from dgl.report.tables import print_tables
from dgl.weights import save_npz

ENTRIES = ["dgl@conv5_3", "dgl@conv5_2", "cam@add"]


@pytest.fixture(scope="module")
def results(folder):
    """The files of one whole run of the script, and what it printed."""
    script = os.path.join(os.path.dirname(__file__), "..", "..", "test_code")
    script = os.path.join(script, "evaluate_localization.py")
    out = folder / "out"
    argv = [script, "--load", str(folder / "tiny.npz"), "--data", str(folder / "data")]
    argv += ["--out", str(out), "--batch", "2", "--gallery", "3", "--workers", "2", "--gpu", "-1"]
    patch = pytest.MonkeyPatch()
    patch.setattr(sys, "argv", argv)
    patch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    printed = []
    patch.setattr("builtins.print", lambda *parts: printed.append(" ".join(map(str, parts))))
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(script, run_name="__main__")
    patch.undo()
    assert caught.value.code == 0
    with open(str(out / "metrics.json"), encoding="utf-8") as stream:
        metrics = json.load(stream)
    with open(str(out / "images.csv"), encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    page = (out / "index.html").read_text(encoding="utf-8")
    return {
        "out": out,
        "argv": argv,
        "metrics": metrics,
        "rows": rows,
        "page": page,
        "printed": "\n".join(printed),
    }


def test_metrics_say_what_was_run(results, folder):
    metrics = results["metrics"]
    assert list(metrics) == [
        "versions", "seed", "resamples", "model", "data", "classification", "protocols", "errors",
        "boxes_clipped", "boxes_outside",
    ]  # fmt: skip
    assert (metrics["seed"], metrics["resamples"], metrics["errors"]) == (0, 1000, 0)
    ran = json.loads((results["out"] / "run.json").read_text(encoding="utf-8"))
    assert ran["command"] == " ".join(["python"] + results["argv"])
    assert ran["started"] <= ran["finished"] and ran["seconds"] >= 0
    assert set(metrics["versions"]) == {"dgl", "python", "tensorflow", "numpy", "opencv"}
    assert metrics["versions"]["numpy"] == np.__version__
    assert metrics["model"] == {
        "mode": "vgg",
        "load": str(folder / "tiny.npz"),
        "image_size": SIZE,
        "classes": CLASSES,
        "width": WIDTH,
        "norm": "none",
        "alpha": 10.0,
        "precision": "float32",
    }
    expected = {"name": "tiny", "layout": "imagenet", "split": "val", "images": IMAGES}
    assert metrics["data"] == expected


def test_metrics_have_both_protocols_for_every_entry(results):
    metrics = results["metrics"]
    assert list(metrics["protocols"]) == ["fixed_threshold", "wsolevaluation"]
    for protocol in metrics["protocols"].values():
        assert sorted("{method}@{layer}".format(**row) for row in protocol["rows"]) == sorted(
            ENTRIES
        )
        assert all((row["images"], row["skipped"]) == (IMAGES - 1, 1) for row in protocol["rows"])
    figures = {"top1_error", "top5_error"}
    expected = figures | {figure + "_interval" for figure in figures}
    assert set(metrics["classification"]) == expected
    for protocol in metrics["protocols"].values():
        for row in protocol["rows"]:
            for figure in ("gt_known", "max_box_acc", "max_box_acc_v2"):
                if figure in row:
                    low, high = row[figure + "_interval"]
                    assert 0 <= low <= high <= 100
        (compared,) = protocol["comparisons"]
        assert compared["a"].startswith("dgl@") and compared["b"] == "cam@add"
    fixed, wsol = (metrics["protocols"][n] for n in ("fixed_threshold", "wsolevaluation"))
    assert (fixed["threshold"], fixed["iou"], wsol["step"]) == (0.2, 0.5, 0.01)
    assert {"gt_known", "top1_loc", "top5_loc"} <= set(fixed["rows"][0])
    assert {"max_box_acc", "best_threshold", "max_box_acc_v2", "curve"} <= set(wsol["rows"][0])
    for row in wsol["rows"]:
        assert row["max_box_acc"] == max(row["curve"])


def test_the_records_add_up_to_the_metrics(results):
    """Every figure of the fixed protocol again, from the rows of the CSV file alone."""
    metrics, rows = results["metrics"], results["rows"]
    assert [row["id"] for row in rows] == [f"{i}.jpg" for i in range(IMAGES)]
    ranks = [int(row["rank"]) for row in rows]
    errors = metrics["classification"]
    assert errors["top1_error"] == pytest.approx(100 * np.mean([rank > 1 for rank in ranks]))
    assert errors["top5_error"] == pytest.approx(100 * np.mean([rank > 5 for rank in ranks]))
    for name, figures in entries_of(metrics, "fixed_threshold").items():
        ious = [row[name + ":iou"] for row in rows]
        assert (ious[-1], rows[-1][name + ":gt_known"]) == ("", "")
        right = [float(iou) >= 0.5 for iou in ious[:-1]]
        assert [row[name + ":gt_known"] for row in rows[:-1]] == [str(verdict) for verdict in right]
        for key, last in (("gt_known", CLASSES), ("top1_loc", 1), ("top5_loc", 5)):
            counted = [verdict and rank <= last for verdict, rank in zip(right, ranks)]
            assert figures[key] == pytest.approx(100 * np.mean(counted))


def test_the_tables_show_the_metrics(results, capsys):
    for protocol, columns in (
        ("fixed_threshold", ("gt_known", "top1_loc", "top5_loc")),
        ("wsolevaluation", ("max_box_acc", "best_threshold", "max_box_acc_v2")),
    ):
        for name, row in entries_of(results["metrics"], protocol).items():
            digits = [3 if column == "best_threshold" else 1 for column in columns]
            cells = ["{:.{}f}".format(row[c], d) for c, d in zip(columns, digits)]
            cells.insert(1, "{:.1f}-{:.1f}".format(*row[columns[0] + "_interval"]))
            line = name.split("@") + cells
            assert line in [text.split() for text in results["printed"].splitlines()]
    print_tables(results["metrics"])
    assert capsys.readouterr().out.strip() in results["printed"]


def test_the_page_shows_the_metrics_and_the_images(results):
    page, metrics = results["page"], results["metrics"]
    for row in entries_of(metrics, "fixed_threshold").values():
        assert "{:.1f}".format(row["gt_known"]) in page
    for row in entries_of(metrics, "wsolevaluation").values():
        assert "{:.1f}".format(row["max_box_acc_v2"]) in page
    assert "--gallery 3" in page
    drawn = sorted(os.listdir(str(results["out"] / "gallery")))
    assert len(drawn) == 3 and set(drawn) < {f"{i:06d}.jpg" for i in range(IMAGES - 1)}
    for name in drawn:
        path = str(results["out"] / "gallery" / name)
        assert read_image(path).std() > 20
        with open(path, "rb") as stream:
            assert base64.b64encode(stream.read()).decode("ascii") in page


def test_nothing_else_is_left_in_the_folder(results):
    expected = ["gallery", "images.csv", "index.html", "metrics.json", "plots", "records.json"]
    expected += ["run.json", "tables"]
    assert sorted(os.listdir(str(results["out"]))) == expected


def test_one_protocol_method_and_layer_of_the_first_images(folder, tmp_path, capsys):
    flags = (
        "--limit 2 --protocol fixed_threshold --method dgl dgl --clayer conv4_3 --threshold 0.35"
    )
    args = parse(folder, *flags.split(), "--gallery", 0, "--out", tmp_path, "--image_size", 32)
    assert run(args) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics["protocols"]) == ["fixed_threshold"]
    assert list(entries_of(metrics, "fixed_threshold")) == ["dgl@conv4_3"]
    assert metrics["protocols"]["fixed_threshold"]["threshold"] == 0.35
    assert (metrics["data"]["images"], metrics["model"]["image_size"]) == (2, 32)
    assert "MaxBoxAcc" not in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "gallery").exists()
    assert "Fixed threshold 0.35" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flag, value",
    [
        ("--threshold", "nan"),
        ("--cam-interval", "2"),
        ("--batch", "5000"),
        ("--workers", "0"),
        ("--gallery", "-1"),
        ("--image_size", "16"),
        ("--image_size", "5000"),
        ("--resamples", "-1"),
        ("--seed", "-1"),
        ("--shard", "3/2"),
        ("--tune-split", "val"),
        ("--limit", "0"),
        ("--pa", "nan"),
    ],
)
def test_a_value_out_of_range_is_refused(folder, tmp_path, flag, value):
    args = parse(folder, "--out", tmp_path / "out", f"{flag}={value}")
    with pytest.raises(UserError, match=f"^{flag} "):
        run(args)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--method", "magic"), "--method magic"),
        (("--clayer", "99"), "--clayer 99"),
        (("--mode", "alexnet"), "--mode alexnet"),
        (("--mode", "resnet50"), "--mode resnet50"),
        (("--split", "trian"), "trian"),
        (("--dataname", "other"), "other"),
        (("--load", "nowhere.npz"), r"--load nowhere\.npz"),
        (("--data", "nowhere"), "nowhere"),
        (("--gpu", "x"), "--gpu x"),
    ],
)
def test_what_is_not_there_is_named(folder, tmp_path, flags, message):
    args = parse(folder, "--out", tmp_path / "out", *flags)
    with pytest.raises(UserError, match=message):
        run(args)
    assert not (tmp_path / "out").exists()


def test_labels_beyond_the_checkpoint_are_refused(folder, tmp_path):
    write_list(tmp_path / "data", "val", [("a.jpg", blob_image(1), CLASSES, [(2, 2, 9, 9)])])
    args = parse(folder, "--out", tmp_path / "out", "--data", tmp_path / "data")
    with pytest.raises(UserError, match="labels of 8 classes, but the checkpoint has 7"):
        run(args)


def test_missing_images_are_recorded_or_strictly_refused(folder, tmp_path, capsys):
    box = [(2, 2, 30, 30)]
    write_list(
        tmp_path / "data", "val", [("a.jpg", blob_image(1), 0, box), ("b.jpg", None, 0, box)]
    )
    flags = ("--out", tmp_path / "out", "--data", tmp_path / "data", "--clayer", 1)
    with pytest.raises(UserError, match=r"1 of 2 images are missing: .*b\.jpg"):
        run(parse(folder, "--strict", *flags))
    assert run(parse(folder, *flags)) == 1
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["data"]["images"], metrics["errors"]) == (2, 1)
    with open(str(tmp_path / "out" / "errors.csv"), encoding="utf-8", newline="") as stream:
        ((name, error),) = [(row["id"], row["error"]) for row in csv.DictReader(stream)]
    assert name == "b.jpg" and "b.jpg: no such file" in error
    assert "1 of 2 images could not be read" in capsys.readouterr().out
    os.remove(str(tmp_path / "data" / "val" / "a.jpg"))
    with pytest.raises(UserError, match="2 of 2 images are missing"):
        run(parse(folder, *flags))


def test_a_checkpoint_that_diverged_is_refused(folder, tmp_path):
    variables = vgg_variables(CLASSES)
    variables["add/W"][:] = np.nan
    path = tmp_path / "nan.npz"
    save_npz(str(path), variables)
    args = parse(folder, "--out", tmp_path / "out", "--load", path, "--image_size", SIZE)
    with pytest.raises(UserError, match=r"nan\.npz: add/W holds NaN"):
        run(args)


def test_flags_that_are_missing_are_named(tmp_path):
    for flags, message in (
        ([], "--data: expected, as neither --maps nor --merge is given"),
        (["--load", "x"], "--data: expected"),
    ):
        with pytest.raises(UserError, match=message):
            run(make_parser("Evaluate.").parse_args(flags))
