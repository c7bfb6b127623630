"""An evaluation that is killed outright, and the run that goes on with it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from deterministic import picture
from tiny import vgg_variables, write_list

from dgl.weights import ModelCard, save_npz, write_card

SIZE, CLASSES, IMAGES = 64, 7, 40
_LONGEST = 120


@pytest.fixture(scope="module")
def command(tmp_path_factory, root):
    """The command of an evaluation of many small batches, its --out left open."""
    folder = tmp_path_factory.mktemp("resume")
    save_npz(str(folder / "tiny.npz"), vgg_variables(CLASSES))
    write_card(str(folder / "tiny.json"), ModelCard("vgg", SIZE))
    rows = [
        ("{:02d}.jpg".format(i), picture(i + 1, 90, 120), i % CLASSES, [(20, 10, 90, 70)])
        for i in range(IMAGES)
    ]
    write_list(folder / "data", "val", rows)
    command = [sys.executable, os.path.join(root, "test_code", "evaluate_localization.py")]
    command += ["--load", str(folder / "tiny.npz"), "--data", str(folder / "data"), "--batch", "1"]
    return command + ["--gpu", "-1", "--gallery", "0", "--clayer", "1-3", "--out"]


def _batches(out):
    partial = out / "partial"
    return (
        [n for n in os.listdir(str(partial)) if n.startswith("batch")] if partial.exists() else []
    )


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 7])
def test_killed_and_resumed_gives_the_bytes_of_one_run(command, tmp_path, after):
    whole, out = tmp_path / "whole", tmp_path / "out"
    subprocess.check_call(command + [str(whole)], stdout=subprocess.DEVNULL)
    process = subprocess.Popen(command + [str(out)], stdout=subprocess.DEVNULL)
    end = time.time() + _LONGEST
    while len(_batches(out)) < after and process.poll() is None and time.time() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(_batches(out))
    assert after <= done < IMAGES and not (out / "metrics.json").exists()
    resumed = subprocess.run(
        command + [str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True
    )
    assert "going on after {} of {}".format(done, IMAGES) in resumed.stderr.decode("utf-8")
    for name in ("metrics.json", "images.csv", "records.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (out / "partial").exists()
