"""`--json`: what a program reads is valid, whole and alone on standard output."""

import json
import os
import subprocess
import sys

import pytest
from cli_runs import ROOT, dgl
from demo_runs import record_of

pytestmark = pytest.mark.usefixtures("quick_charts", "graphs_once")
_QUICK = "--clayer 1 --batch 2 --resamples 0 --gallery 0 --workers 1 --gpu=-1".split()


@pytest.mark.slow
def test_localize_writes_an_object_a_line_and_nothing_else(vgg, photos, tmp_path):
    # In a process of its own, for what libraries write.
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    words = ["localize", photos, "bad.jpg", "--load", vgg, "--json", "--out", "o", "--gpu=-1"]
    command, environment = [sys.executable, "-m", "dgl.cli"], dict(os.environ, PYTHONPATH=ROOT)
    options = {"cwd": str(tmp_path), "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command + words, **options)
    assert done.returncode == 1
    told = [json.loads(line) for line in done.stdout.splitlines()]
    names = [f"val{i}.jpg" for i in range(5)]
    assert [row["image"] for row in told] == [os.path.join(photos, n) for n in names] + ["bad.jpg"]
    assert "bad.jpg" in told[-1]["error"] and "box" not in told[-1]
    lines = (tmp_path / "o" / "results.jsonl").read_text().splitlines()
    for row, record in zip(told, map(json.loads, lines)):
        assert dict(record, outdir=row["outdir"]) == row
        assert record_of(tmp_path / row["outdir"]) == record
    assert "skipped: bad.jpg" in done.stderr and "images/s" in done.stderr


def test_localize_reports_a_single_image_that_cannot_be_read(vgg, tmp_path):
    path = tmp_path / "bad.jpg"
    path.write_bytes(b"no image")
    done = dgl("localize", path, "--load", vgg, "--json", "--out", tmp_path / "o", "--gpu=-1")
    assert done.code == 1 and done.err.startswith("error: ")
    assert json.loads(done.out)["image"] == str(path)


def test_evaluate_writes_the_metrics_and_a_shard_says_which(vgg, data, tmp_path):
    words = ["--load", vgg, "--data", data, "--out", tmp_path, "--json", *_QUICK]
    done = dgl("evaluate", *words, "--shard", "1/2")
    assert json.loads(done.out) == {"shard": "1/2", "out": str(tmp_path)}
    done = dgl("evaluate", *words, "--shard", "1/1", "--overwrite")
    assert json.loads(done.out) == record_of(tmp_path, "metrics.json")
    assert "MaxBoxAcc" in done.err or "wsolevaluation" in done.err


def test_export_and_samples(vgg, tmp_path):
    out = str(tmp_path / "a.npz")
    done = dgl("export", "--load", vgg, "--out", out, "--json")
    assert json.loads(done.out) == {"out": out, "variables": 30, "bytes": os.path.getsize(out)}
    done = dgl("make-data", "birds", "--samples", tmp_path / "s", "--json")
    (paths,) = json.loads(done.out).values()
    assert len(paths) == 6 and all(os.path.isfile(path) for path in paths)
