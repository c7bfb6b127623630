"""An evaluation of many small batches as a process, which tests kill and start again."""

import os
import signal
import subprocess
import sys
import time

from command_runs import blob_rows, write_network
from sample_images import write_list

RESULTS = ("metrics.json", "images.csv", "records.json")
_LONGEST = 120


def make_command(folder, root, images):
    """Write a checkpoint and a data set; returns the command, its ``--out`` left open at the end."""
    write_network(folder)
    write_list(folder / "data", "val", blob_rows(images, "{:02d}.jpg", box=(20, 10, 90, 70)))
    command = [sys.executable, os.path.join(root, "test_code", "evaluate_localization.py")]
    command += ["--load", str(folder / "tiny.npz"), "--data", str(folder / "data"), "--batch", "1"]
    return command + ["--gpu", "-1", "--gallery", "0", "--clayer", "1-3", "--out"]


def batches(out):
    """Names of the batches that an unfinished evaluation has kept."""
    partial = out / "partial"
    names = os.listdir(str(partial)) if partial.exists() else []
    return [name for name in names if name.startswith("batch")]


def wait_until(condition, process=None, every=0.005):
    """Wait until a condition holds; returns what it gave, or its last answer once the process ended."""
    end = time.time() + _LONGEST
    while time.time() < end:
        found = condition()
        if found or (process is not None and process.poll() is not None):
            return found
        time.sleep(every)
    raise AssertionError(f"not within {_LONGEST} seconds")


def killed_after(command, out, count):
    """Start an evaluation and kill it once it has kept ``count`` batches; returns how many it had then."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(batches(out)) >= count, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(batches(out))


def finished(command, code=0):
    """Run an evaluation to its end and exit code; returns what it said on standard error."""
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = ran.stderr.decode("utf-8")
    assert ran.returncode == code, said
    return said


def check_same(out, whole):
    """Two evaluations have the same results, byte by byte, and nothing unfinished."""
    for name in RESULTS:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (out / "partial").exists()
