"""Runs of `evaluate_localization.py`: shards, resumed and finished runs, two splits, offsets, the study."""

import json
import os

import pytest
from command_runs import (
    CLASSES,
    blob_rows,
    bytes_of,
    command,
    entries_of,
    evaluate_many,
    metrics_of,
    parse,
)
from fake_predictor import FakePredictor, make_dataset, make_plan
from killed_runs import check_same, killed_after, make_command
from sample_images import blob_image, write_list

from dgl.attribution import expand_methods
from dgl.cli.evaluate import make_study_parser, run
from dgl.errors import UserError
from dgl.evaluation import results
from dgl.evaluation.loop import BatchRunner, Task, collect

pytestmark = pytest.mark.usefixtures("quick_charts")
QUICK = ("--gallery", 0, "--resamples", 0, "--clayer", 1, "--method", "dgl", "--gpu=-1")


def test_shards_merge_to_the_bytes_of_one_run(folder, many, tmp_path):
    tuned = ("--tune-split", "train")
    whole = evaluate_many(folder, many, tmp_path / "whole", *tuned)
    for i in "123":
        assert evaluate_many(folder, many, tmp_path / i, "--shard", i + "/3", *tuned) is None
    # A finished run can be told again, with other resamples, without a model.
    for shards, name in (("312", "merged"), (["whole"], "again")):
        out, paths = tmp_path / name, [tmp_path / shard for shard in shards]
        assert command("--merge", *paths, "--out", out, "--resamples", 50) == 1
        assert bytes_of(out) == whole
    for name in ("images.csv", "errors.csv"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_lines_left_out_are_told_by_shards_and_by_what_they_merge_to(folder, tmp_path, capsys):
    data = tmp_path / "data"
    for split, seed in (("val", 0), ("train", 50)):
        name = split + "{}.jpg"
        missing = [(name.format(i), None, 0, [(9, 9, 70, 60)]) for i in range(4, 130)]
        write_list(data, split, blob_rows(4, name, seed) + missing)
        with open(str(data / "labels" / "tiny" / f"{split}.txt"), "a") as stream:
            stream.write(f"wrong_{split}.jpg 1 60 9 9 70\n")
    given = ["--load", folder / "tiny.npz", "--data", data, "--limit", 4, "--tune-split", "train"]
    given += ["--tune-limit", 4, "--batch", 2, *QUICK]

    def check(out, *flags):
        assert command(*flags, "--out", tmp_path / out) == 1
        told, texts = capsys.readouterr().out, []
        for split, name in (("val", "skipped.csv"), ("train", "selection/skipped.csv")):
            text = (tmp_path / out / name).read_text()
            texts.append(text)
            assert f"{split}.txt:131" in text and len(text.splitlines()) == 2
            assert f"1 lines of lists could not be read, see {tmp_path / out / name}" in told
        return texts

    whole = check("whole", *given)
    for i in "12":
        assert check(i, *given, "--shard", i + "/2") == whole
    assert whole == check("merged", "--merge", tmp_path / "1", tmp_path / "2", "--resamples", 0)


def test_shards_that_do_not_fit_are_refused(folder, many, tmp_path):
    for i, more in (("1", ()), ("2", ()), ("3", ("--pa", 5))):
        evaluate_many(folder, many, tmp_path / i, "--shard", i + "/3", *more)

    def check(message, *shards):
        with pytest.raises(UserError, match=message):
            command("--merge", *[tmp_path / name for name in shards], "--out", tmp_path / "m")

    check("--merge: 4 of 12 images are in none .* image 5;", "1", "2")
    check("another evaluation than .*, it differs in model", "1", "2", "3")
    check("--merge .*: image 1 is in both", "1", "2", "1")
    check("no such file; expected the results of an evaluation", "1", "nowhere")
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_other_flags_and_other_shards_do_not_replace_finished_results(folder, many, tmp_path):
    out = tmp_path / "out"
    first = evaluate_many(folder, many, out, *QUICK)
    with pytest.raises(UserError, match=r"finished results .* differs in threshold; .*--overwrite"):
        evaluate_many(folder, many, out, *QUICK, "--threshold", 0.3)
    assert bytes_of(out) == first
    assert evaluate_many(folder, many, out, *QUICK) == first
    changed = evaluate_many(folder, many, out, *QUICK, "--threshold", 0.3, "--overwrite")
    assert changed != first
    for _ in range(2):
        evaluate_many(folder, many, tmp_path / "shard", *QUICK, "--shard", "1/3")
    with pytest.raises(UserError, match="differs in shard"):
        evaluate_many(folder, many, tmp_path / "shard", *QUICK, "--shard", "2/3")


def test_thresholds_and_layers_come_from_the_other_split(folder, many, tmp_path):
    flags = ("--clayer", "1-3", "--alphas", 1, "inf", "--fuse", "max")
    for split, more in (("val", ("--tune-split", "train")), ("train", ("--split", "train"))):
        evaluate_many(folder, many, tmp_path / split, *flags, *more)
    metrics = metrics_of(tmp_path / "val")
    selected = {"{method}@{layer}".format(**row): row for row in metrics["selection"]["rows"]}
    on_train = entries_of(metrics_of(tmp_path / "train"), "wsolevaluation")
    assert set(selected) == set(on_train)
    assert (metrics["selection"]["split"], metrics["selection"]["images"]) == ("train", 7)
    for name, row in entries_of(metrics, "wsolevaluation").items():
        assert selected[name]["threshold"] == on_train[name]["best_threshold"]
        assert selected[name]["box_acc"] == on_train[name]["max_box_acc"]
        index = row["thresholds"].index(selected[name]["threshold"])
        assert row["tuned_threshold"] == selected[name]["threshold"]
        assert row["box_acc"] == row["curve"][index] <= row["max_box_acc"]
    cam, dgl = sorted(name for name, row in selected.items() if row["chosen"])
    assert (cam.split("@")[0], dgl.split("@")[0]) == ("cam", "dgl")
    (compared,) = metrics["protocols"]["wsolevaluation"]["comparisons"]
    assert (compared["a"], compared["b"], compared["figure"]) == (dgl, cam, "box_acc")
    # The fixed-threshold protocol has thresholds of its own crop.
    assert len({row["threshold"] for row in metrics["protocols"]["fixed_threshold"]["rows"]}) > 1
    assert all({"gt_known", "max_box_acc"} <= set(row) for row in metrics["alpha"]["rows"])
    names = ["dgl@max(conv5_3+conv5_2+conv5_1)", "cam@add"]
    assert set(names) <= set(entries_of(metrics, "fixed_threshold"))


def test_a_part_of_the_other_split_is_taken_evenly(folder, many, tmp_path):
    flags = "--tune-split train --tune-limit 3 --clayer 1 --protocol wsolevaluation".split()
    evaluate_many(folder, many, tmp_path, *flags)
    record = json.loads((tmp_path / "selection" / "records.json").read_text())
    # Of 8 images the first, the last, and one in the middle; the fourth cannot be read.
    names = [name for _, name in record["results"]["names"]]
    assert names == ["train0.jpg", "train4.jpg", "train7.jpg"]


def test_splits_that_share_images_do_not_settle_anything(folder, tmp_path):
    data = tmp_path / "data"
    write_list(data, "val", [("a.jpg", blob_image(1), 0, [(2, 2, 30, 30)])])
    write_list(data, "train", [("a.jpg", None, 0, [(2, 2, 30, 30)])])
    os.symlink(str(data / "val" / "a.jpg"), str(data / "train" / "a.jpg"))
    with pytest.raises(UserError, match="--tune-split train: 1 of its images are in val too"):
        evaluate_many(folder, data, tmp_path / "out", "--tune-split", "train")


def test_one_output_more_than_classes(folder, tmp_path):
    """A checkpoint with a background class first, and data that count without one."""
    write_list(tmp_path / "data", "val", blob_rows(6, classes=CLASSES - 1))
    names = "".join(f"class {i}\n" for i in range(CLASSES - 1))
    (tmp_path / "data" / "classes.txt").write_text(names)
    flags = ("--data", tmp_path / "data") + QUICK
    with pytest.raises(UserError, match="6 classes, but the checkpoint has 7 outputs"):
        run(parse(folder, *flags, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    for offset in "01":
        out = tmp_path / offset
        assert run(parse(folder, *flags, "--out", out, "--class-offset", offset)) == 0
        first = (out / "images.csv").read_text().splitlines()[1].split(",")
        assert first[1:3] == [offset, "class 0"]


def test_an_offset_that_predictions_show_is_suggested(tmp_path):
    dataset = make_dataset(tmp_path, count=20, classes=7)

    def evaluate(predictor):
        plan = make_plan(predictor, dataset, batch=4)
        store = results.Store(tmp_path / "out", plan)
        batches = BatchRunner(predictor, Task({}, dataset, plan)).run
        collect(plan, dataset, batches, store, progress=False, check_offset=True)

    with pytest.raises(UserError, match=r"label \+1 on .*expected --class-offset 1"):
        evaluate(FakePredictor(wrong=range(8)))  # predicts the class after the true one
    assert not (tmp_path / "out" / "partial").exists()
    evaluate(FakePredictor())


def test_saved_maps_score_to_the_same_figures(folder, many, tmp_path):
    evaluate_many(folder, many, tmp_path / "out", "--save-maps")
    maps = tmp_path / "out" / "maps"
    names = ["cam@add", "dgl@conv5_2", "dgl@conv5_3", "metadata"]
    assert sorted(os.listdir(str(maps))) == names
    for name, row in entries_of(metrics_of(tmp_path / "out"), "wsolevaluation").items():
        flags = ["--maps", maps / name, "--metadata", maps / "metadata", "--out", tmp_path / name]
        assert command(*flags, "--resamples", 50) == 0
        scored = metrics_of(tmp_path / name)
        for key in set(row) - {"method", "layer"}:
            assert scored[key] == row[key], key


@pytest.mark.slow
def test_the_study_compares_everything(folder, many, tmp_path):
    given = ["--load", folder / "tiny.npz", "--data", many, "--out", tmp_path, "--batch", 4]
    given += ["--clayer", "1-2", "--alphas", "0.1", "inf", "--resamples", 20, "--gallery", 2]
    given += ["--protocol", "wsolevaluation"]
    args = make_study_parser("Study.").parse_args([str(flag) for flag in given])
    assert (args.method, args.tune_split) == (["all"], "train")
    assert run(args) == 1
    metrics, methods = metrics_of(tmp_path), expand_methods(["all"])
    found = set(entries_of(metrics, "wsolevaluation"))
    assert {name.split("@")[0] for name in found} == set(methods)
    assert {"layercam@conv5_3", "layercam@mean(conv5_3+conv5_2)", "center@image"} <= found
    compared = metrics["protocols"]["wsolevaluation"]["comparisons"]
    assert len(compared) == len(methods) - 1
    assert {row["a"].split("@")[0] for row in compared} == {"dgl"}
    assert len(metrics["alpha"]["rows"]) == 4


@pytest.mark.slow
def test_killed_and_resumed_gives_the_bytes_of_one_run(root, tmp_path, caplog):
    images, kept = 16, 3
    started = make_command(tmp_path, root, images)
    whole, out = tmp_path / "whole", tmp_path / "out"
    done = killed_after(started + [str(out)], out, kept)
    assert kept <= done < images and not (out / "metrics.json").exists()
    for folder in (whole, out):
        assert command(*started[2:], folder) == 0
    assert f"resuming: {done} of {images}" in caplog.text
    check_same(out, whole)
