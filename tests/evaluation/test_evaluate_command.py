"""`evaluate_localization.py` from flags to files, with a small VGG."""

import base64
import io
import json
import os
import runpy
import sys
from contextlib import redirect_stdout

import numpy as np
import pytest
from command_runs import CLASSES, IMAGES, SIZE, command, entries_of, metrics_of, parse
from networks import WIDTH
from refusals import check_refusal
from sample_images import blob_image, write_list
from trees import read_csv

from dgl.cli.evaluate import run
from dgl.report.tables import print_tables

pytestmark = pytest.mark.usefixtures("quick_charts")
ENTRIES = ["dgl@conv5_3", "dgl@conv5_2", "cam@add"]


@pytest.fixture(scope="module")
def results(folder, root):
    """The files of one whole run of the script, and what it printed."""
    script = os.path.join(root, "test_code", "evaluate_localization.py")
    out = folder / "out"
    argv = [script, "--load", str(folder / "tiny.npz"), "--data", str(folder / "data")]
    argv += ["--out", str(out), "--batch", "2", "--gallery", "3", "--workers", "2", "--gpu", "-1"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as caught:
        patch.setattr(sys, "argv", argv)
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        with redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(script, run_name="__main__")
    assert caught.value.code == 0
    return {
        "out": out,
        "argv": argv,
        "metrics": metrics_of(out),
        "rows": read_csv(out / "images.csv"),
        "page": (out / "index.html").read_text(encoding="utf-8"),
        "printed": printed.getvalue(),
    }


def test_metrics_say_what_was_run(results, folder):
    metrics = results["metrics"]
    for name, protocol in metrics["protocols"].items():
        assert sorted(entries_of(metrics, name)) == sorted(ENTRIES)
        assert all((row["images"], row["skipped"]) == (IMAGES - 1, 1) for row in protocol["rows"])
        (compared,) = protocol["comparisons"]
        assert compared["a"].startswith("dgl@") and compared["b"] == "cam@add"
    assert (metrics["seed"], metrics["resamples"], metrics["errors"]) == (0, 1000, 0)
    ran = json.loads((results["out"] / "run.json").read_text(encoding="utf-8"))
    assert ran["command"] == " ".join(["python"] + results["argv"])
    assert metrics["versions"]["numpy"] == np.__version__
    assert metrics["model"] == dict(
        mode="vgg", load=str(folder / "tiny.npz"), image_size=SIZE, classes=CLASSES, width=WIDTH,
        norm="none", alpha=10.0, precision="float32",
    )  # fmt: skip
    expected = {"name": "tiny", "layout": "imagenet", "split": "val", "images": IMAGES}
    assert metrics["data"] == expected


def test_the_rows_add_up_to_the_metrics_of_the_fixed_protocol(results):
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


def test_the_page_and_the_tables_show_the_metrics_and_the_images(results, capsys):
    page, metrics = results["page"], results["metrics"]
    print_tables(metrics)
    assert capsys.readouterr().out.strip() in results["printed"]
    for row in entries_of(metrics, "wsolevaluation").values():
        assert "{:.1f}".format(row["max_box_acc_v2"]) in page
    drawn = sorted((results["out"] / "gallery").iterdir())
    assert len(drawn) == 3
    for path in drawn:
        assert base64.b64encode(path.read_bytes()).decode("ascii") in page
    expected = "gallery images.csv index.html metrics.json plots records.json run.json tables"
    assert sorted(os.listdir(str(results["out"]))) == expected.split()


def test_one_protocol_method_and_layer_of_the_first_images(folder, tmp_path):
    flags = "--limit 2 --protocol fixed_threshold --method dgl --clayer conv4_3 --threshold 0.35"
    flags += " --gallery 0 --image_size 32"
    assert run(parse(folder, *flags.split(), "--out", tmp_path)) == 0
    metrics = metrics_of(tmp_path)
    assert list(metrics["protocols"]) == ["fixed_threshold"]
    assert list(entries_of(metrics, "fixed_threshold")) == ["dgl@conv4_3"]
    assert metrics["protocols"]["fixed_threshold"]["threshold"] == 0.35
    assert (metrics["data"]["images"], metrics["model"]["image_size"]) == (2, 32)
    assert not (tmp_path / "gallery").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--shard 3/2", "^--shard "),
        ("--tune-split val", "^--tune-split "),
        ("--mosaic 2x2 --shard 1/2", "^--mosaic 2x2: expected without --shard"),
        ("--mosaic 2x2 --merge x", "^--mosaic 2x2: expected without --merge"),
        ("--ray-workers 0", "^--ray-workers 0"),
        ("--ray-address auto", "^--ray-address auto"),
        ("--ray-workers 2 --merge x", "^--ray-workers 2"),
        ("--ray-workers 2 --gpu 0 --ray-address a:1", "^--gpu 0"),
    ],
)
def test_flags_that_do_not_fit_are_named(folder, tmp_path, flags, message):
    check_refusal(message, run, parse(folder, "--out", tmp_path / "out", *flags.split()))
    assert not (tmp_path / "out").exists()


def test_data_is_needed_but_for_maps_and_merging():
    for flags in ([], ["--load", "x"]):
        check_refusal("expected --(data|load),", command, *flags)


def test_missing_images_are_recorded_or_strictly_refused(folder, tmp_path):
    rows = [("a.jpg", blob_image(1), 0, [(2, 2, 30, 30)]), ("b.jpg", None, 0, [(2, 2, 30, 30)])]
    write_list(tmp_path / "data", "val", rows)
    flags = ("--out", tmp_path / "out", "--data", tmp_path / "data", "--clayer", 1)
    check_refusal(r"1 of 2 images are missing: .*b\.jpg", run, parse(folder, "--strict", *flags))
    assert run(parse(folder, *flags)) == 1
    metrics = metrics_of(tmp_path / "out")
    assert metrics["errors"] == 1
    (row,) = read_csv(tmp_path / "out" / "errors.csv")
    assert row["id"] == "b.jpg" and "b.jpg: no such file" in row["error"]
    os.remove(str(tmp_path / "data" / "val" / "a.jpg"))
    check_refusal("2 of 2 images are missing", run, parse(folder, *flags))
