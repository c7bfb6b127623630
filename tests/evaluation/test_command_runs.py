"""Runs of `evaluate_localization.py` that belong together: shards, resumed runs, two splits, the study."""

import json
import os

import pytest
from command_runs import CLASSES, entries_of, evaluate_many, metrics_of
from killed_runs import check_same, killed_after, make_command
from sample_images import blob_image, write_list

from dgl.attribution import expand_methods
from dgl.cli.evaluate import make_parser, make_study_parser, run
from dgl.errors import UserError

pytestmark = pytest.mark.usefixtures("quick_charts")


def test_shards_merge_to_the_bytes_of_one_run(folder, many, tmp_path):
    tuned = ("--tune-split", "train")
    whole = evaluate_many(folder, many, tmp_path / "whole", *tuned)
    for i in (1, 2, 3):
        out = tmp_path / str(i)
        assert evaluate_many(folder, many, out, "--shard", f"{i}/3", *tuned) is None
    shards = [str(tmp_path / str(i)) for i in (3, 1, 2)]
    merge = ["--merge"] + shards + ["--out", str(tmp_path / "merged"), "--resamples", "50"]
    assert run(make_parser("Evaluate.").parse_args(merge)) == 1
    assert metrics_of(tmp_path / "merged") == whole
    for name in ("images.csv", "errors.csv"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    # A finished run can be told again, with other resamples, without a model.
    again = ["--merge", str(tmp_path / "whole"), "--out", str(tmp_path / "again")]
    again += ["--resamples", "50"]
    assert run(make_parser("Evaluate.").parse_args(again)) == 1
    assert metrics_of(tmp_path / "again") == whole


def test_lines_left_out_are_told_by_shards_and_by_what_they_merge_to(folder, tmp_path, capsys):
    data = tmp_path / "data"
    for split, first in (("val", 0), ("train", 50)):
        images = [blob_image(first + i + 1, 90, 120) for i in range(4)] + [None] * 126
        rows = [
            (f"{split}{i}.jpg", own, i % CLASSES, [(9, 9, 70, 60)]) for i, own in enumerate(images)
        ]
        write_list(data, split, rows)
        with open(str(data / "labels" / "tiny" / f"{split}.txt"), "a") as stream:
            stream.write(f"wrong_{split}.jpg 1 60 9 9 70\n")
    given = ["--load", folder / "tiny.npz", "--data", data, "--limit", 4, "--tune-split", "train"]
    given += ["--tune-limit", 4, "--clayer", 1, "--method", "dgl", "--resamples", 0, "--gallery", 0]

    def go(out, *flags):
        more = [str(flag) for flag in (*flags, "--out", tmp_path / out)]
        assert run(make_parser("Evaluate.").parse_args(more)) == 1
        told = capsys.readouterr().out
        found = {}
        for split, name in (("val", "skipped.csv"), ("train", "selection/skipped.csv")):
            text = found[name] = (tmp_path / out / name).read_text()
            assert f"{split}.txt:131" in text and len(text.splitlines()) == 2
            assert f"1 lines of lists could not be read, see {tmp_path / out / name}" in told
        return found

    whole = go("whole", *given)
    for i in "12":
        assert go(i, *given, "--batch", 2, "--shard", i + "/2") == whole
    merged = go("merged", "--merge", tmp_path / "1", tmp_path / "2", "--resamples", 0)
    assert merged == whole


def test_shards_that_do_not_fit_are_refused(folder, many, tmp_path):
    for i, more in ((1, ()), (2, ()), (3, ("--pa", 5))):
        evaluate_many(folder, many, tmp_path / str(i), "--shard", f"{i}/3", *more)

    def merge(*shards):
        paths = [str(tmp_path / name) for name in shards]
        run(
            make_parser("Evaluate.").parse_args(
                ["--merge"] + paths + ["--out", str(tmp_path / "m")]
            )
        )

    with pytest.raises(UserError, match="--merge: 4 of 12 images are in none .* image 5;"):
        merge("1", "2")
    with pytest.raises(UserError, match="another evaluation than .*, it differs in model"):
        merge("1", "2", "3")
    with pytest.raises(UserError, match="--merge .*: image 1 is in both"):
        merge("1", "2", "1")
    with pytest.raises(UserError, match="no such file; expected the results of an evaluation"):
        merge("1", "nowhere")
    (tmp_path / "2" / "records.json").write_text("{")
    with pytest.raises(UserError, match=r"records\.json: damaged"):
        merge("1", "2")
    assert not (tmp_path / "m").exists()


def test_unfinished_results_go_on_and_those_of_other_flags_are_kept(
    folder, many, tmp_path, monkeypatch
):
    from dgl.evaluation import results

    whole = evaluate_many(folder, many, tmp_path / "whole")
    write, written = results.Store.write, []

    def failing(self, chunk, results):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(chunk)
        write(self, chunk, results)

    out = tmp_path / "out"
    monkeypatch.setattr(results.Store, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        evaluate_many(folder, many, out)
    monkeypatch.setattr(results.Store, "write", write)
    with pytest.raises(UserError, match="unfinished results of another evaluation, .* in model"):
        evaluate_many(folder, many, out, "--pa", 3)
    assert len(os.listdir(str(out / "partial"))) == 4
    damaged = out / "partial" / "batch-000001.json"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert evaluate_many(folder, many, out) == whole
    assert not (out / "partial").exists()
    assert evaluate_many(folder, many, out, "--restart") == whole


def test_thresholds_and_layers_come_from_the_other_split(folder, many, tmp_path, capsys):
    flags = ("--tune-split", "train", "--clayer", "1-3", "--alphas", 1, "inf", "--fuse", "max")
    metrics = json.loads(evaluate_many(folder, many, tmp_path / "out", *flags).decode("utf-8"))
    own = json.loads(
        evaluate_many(folder, many, tmp_path / "train", "--split", "train", *flags[2:]).decode()
    )
    selected = {"{method}@{layer}".format(**row): row for row in metrics["selection"]["rows"]}
    on_train = entries_of(own, "wsolevaluation")
    assert set(selected) == set(on_train)
    assert (metrics["selection"]["split"], metrics["selection"]["images"]) == ("train", 7)
    for name, row in entries_of(metrics, "wsolevaluation").items():
        assert selected[name]["threshold"] == on_train[name]["best_threshold"]
        assert selected[name]["box_acc"] == on_train[name]["max_box_acc"]
        index = row["thresholds"].index(selected[name]["threshold"])
        assert row["tuned_threshold"] == selected[name]["threshold"]
        assert row["box_acc"] == row["curve"][index] <= row["max_box_acc"]
    chosen = [name for name, row in selected.items() if row["chosen"]]
    assert sorted(name.split("@")[0] for name in chosen) == ["cam", "dgl"]
    dgl = max(r["box_acc"] for r in selected.values() if r["method"] == "dgl")
    assert [selected[n]["box_acc"] for n in chosen if n.startswith("dgl")] == [dgl]
    (compared,) = metrics["protocols"]["wsolevaluation"]["comparisons"]
    assert [compared["a"], compared["b"], compared["figure"]] == sorted(chosen)[::-1] + ["box_acc"]
    # The fixed-threshold protocol has thresholds of its own crop.
    assert len({row["threshold"] for row in metrics["protocols"]["fixed_threshold"]["rows"]}) > 1
    rows = metrics["alpha"]["rows"]
    assert [(row["alpha"], row["semantics"]) for row in rows] == [
        (1.0, "kernel"), ("inf", "kernel"), (1.0, "exact"), ("inf", "exact"),
    ]  # fmt: skip
    assert all({"gt_known", "max_box_acc"} <= set(row) for row in rows)
    printed = capsys.readouterr().out
    assert "thresholds selected on train" in printed and "by alpha" in printed
    names = ["dgl@max(conv5_3+conv5_2+conv5_1)", "cam@add"]
    assert set(names) <= set(entries_of(metrics, "fixed_threshold"))


def test_a_part_of_the_other_split_is_taken_evenly(folder, many, tmp_path):
    flags = "--tune-split train --tune-limit 3 --clayer 1 --protocol wsolevaluation".split()
    metrics = json.loads(evaluate_many(folder, many, tmp_path, *flags).decode("utf-8"))
    record = json.loads((tmp_path / "selection" / "records.json").read_text())
    # Of 8 images the first, the last, and one in the middle; the fourth cannot be read.
    names = [name for _, name in record["results"]["names"]]
    assert names == ["train0.jpg", "train4.jpg", "train7.jpg"]
    assert metrics["selection"]["images"] == 3


def test_splits_that_share_images_do_not_settle_anything(folder, many, tmp_path):
    data = tmp_path / "data"
    rows = [("a.jpg", blob_image(1), 0, [(2, 2, 30, 30)])]
    write_list(data, "val", rows)
    write_list(data, "train", rows)
    (data / "train" / "a.jpg").unlink()
    os.symlink(str(data / "val" / "a.jpg"), str(data / "train" / "a.jpg"))
    with pytest.raises(UserError, match="--tune-split train: 1 of its images are in val too"):
        evaluate_many(folder, data, tmp_path / "out", "--tune-split", "train")


def test_saved_maps_score_to_the_same_figures(folder, many, tmp_path):
    metrics = json.loads(evaluate_many(folder, many, tmp_path / "out", "--save-maps"))
    maps = tmp_path / "out" / "maps"
    names = ["cam@add", "dgl@conv5_2", "dgl@conv5_3", "metadata"]
    assert sorted(os.listdir(str(maps))) == names
    for name, row in entries_of(metrics, "wsolevaluation").items():
        flags = ["--maps", maps / name, "--metadata", maps / "metadata", "--out", tmp_path / name]
        flags = [str(flag) for flag in flags + ["--resamples", 50]]
        assert run(make_parser("Score.").parse_args(flags)) == 0
        scored = json.loads(metrics_of(tmp_path / name).decode("utf-8"))
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
    metrics = json.loads(metrics_of(tmp_path).decode("utf-8"))
    found = set(entries_of(metrics, "wsolevaluation"))
    assert {name.split("@")[0] for name in found} == set(expand_methods(["all"]))
    assert {"layercam@conv5_3", "layercam@mean(conv5_3+conv5_2)", "center@image"} <= found
    compared = metrics["protocols"]["wsolevaluation"]["comparisons"]
    assert len(compared) == len(expand_methods(["all"])) - 1
    assert {row["a"].split("@")[0] for row in compared} == {"dgl"}
    assert len(metrics["alpha"]["rows"]) == 4
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "eigencam" in page
    assert os.path.isfile(str(tmp_path / "tables" / "wsolevaluation.tex"))


IMAGES, KEPT = 16, 3


@pytest.mark.slow
def test_killed_and_resumed_gives_the_bytes_of_one_run(root, tmp_path, caplog):
    command = make_command(tmp_path, root, IMAGES)
    whole, out = tmp_path / "whole", tmp_path / "out"
    done = killed_after(command + [str(out)], out, KEPT)
    assert KEPT <= done < IMAGES and not (out / "metrics.json").exists()
    for folder in (whole, out):
        assert run(make_parser("Evaluate.").parse_args([*command[2:], str(folder)])) == 0
    assert f"going on after {done} of {IMAGES}" in caplog.text
    check_same(out, whole)
