"""Trainings that are stopped, killed or run out of disk, and go on: by the real script, in processes."""

import os
import shutil
import signal
import subprocess

import numpy as np
import pytest
from survival_runs import Runs, error_lines

from benchmarks.survival import Training, survive

pytestmark = pytest.mark.slow

_DISK = "mount -t tmpfs -o size=3m tmpfs train_log && exec"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the run ``whole``, which nothing disturbed."""
    made = Runs(tmp_path_factory.mktemp("survival"))
    code, text = made.finish("whole")
    assert code == 0, text[-3000:]
    return made


def assert_same_results(runs, one, other):
    expected, found = runs.results(one), runs.results(other)
    assert list(expected) == list(found)
    assert [name for name in expected if expected[name] != found[name]] == []


def descendants(process):
    """Processes below a process, as text of their command lines."""
    listed = subprocess.run(
        ["ps", "--ppid", str(process), "-o", "pid="], stdout=subprocess.PIPE
    ).stdout.split()
    found = [int(pid) for pid in listed]
    return found + [below for pid in found for below in descendants(pid)]


def stop(runs, name, number):
    """Start a run, send it a signal in mid-epoch, and check that it ends in order."""
    process = runs.start(name, "--save-minutes", 0.001)
    runs.wait_for_step(name, runs.steps + 1, process)
    children = descendants(process.pid)
    process.send_signal(number)
    text = process.communicate(timeout=60)[0].decode("utf-8", "replace")
    assert process.returncode == 128 + number, text[-3000:]
    assert "Traceback" not in text
    assert len(children) >= 2
    assert not any(os.path.exists(f"/proc/{child}") for child in children)
    return text


def test_sigterm_keeps_the_state_and_the_run_goes_on_with_it(runs):
    """Resumed, it gives what an undisturbed one gives, to the bit."""
    text = stop(runs, "term", signal.SIGTERM)
    assert "stopped by SIGTERM; go on with --resume" in text
    step = runs.progress("term")
    assert runs.steps < step < runs.steps * runs.epochs
    code, text = runs.finish("term")
    assert code == 0 and f"global_step={step}" in text, text[-3000:]
    assert_same_results(runs, "whole", "term")


def test_ctrl_c_keeps_the_state(runs):
    assert "stopped by Ctrl-C; go on with --resume" in stop(runs, "int", signal.SIGINT)
    assert runs.steps < runs.progress("int") < runs.steps * runs.epochs


def test_a_signal_while_validating_loses_no_step(runs):
    """Sent as the fifth epoch's checkpoint appears, which validation follows."""
    process = runs.start("validating")
    runs.wait_for_step("validating", 5 * runs.steps, process)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=60)[0].decode("utf-8", "replace")
    assert process.returncode in (0, 143), text[-3000:]
    assert runs.progress("validating") >= 5 * runs.steps
    assert runs.finish("validating")[0] == 0
    assert_same_results(runs, "whole", "validating")


def test_killed_outright_nothing_is_lost():
    """Twice, at moments that differ from those of the record in docs/survival.md."""
    figures = survive(Training, 2, seed=7, progress=False)
    assert (figures["kills"], figures["failed_resumes"]) == (2, 0)
    assert (figures["lost"], figures["differing"]) == (0, 0)
    assert figures["compared"] > 100


def test_a_loss_that_is_no_number_ends_training(runs):
    shutil.copytree(runs.out("whole"), runs.out("nan"))
    before = runs.last("nan")
    flags = ("--base-lr", "1e30", "--epoch", runs.epochs + 9, "--save-minutes", 60)
    code, text = runs.finish("nan", *flags)
    assert code == 1 and "Traceback" not in text, text[-3000:]
    (line,) = error_lines(text)
    last = runs.steps * runs.epochs
    assert f"epoch {runs.epochs + 1}" in line and f"step {last + 2}" in line
    assert "the loss is nan" in line or "the loss is inf" in line
    assert f"the last good checkpoint is train_log/runnan/model-{last};" in line
    after = runs.last("nan")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert all(np.isfinite(value).all() for value in after.values())


def test_weights_that_are_no_numbers_are_not_kept(runs):
    """After one step at an infinite rate the loss, computed before it, is still sound."""
    code, text = runs.finish("inf", "--base-lr", "1e38", "--steps", 1, "--epoch", 3)
    assert code == 1 and "Traceback" not in text, text[-3000:]
    (line,) = error_lines(text)
    assert "no longer finite" in line or "the loss is" in line
    assert runs.progress("inf") in (0, 1)


def assert_full_disk_is_told(runs, name, code, text, word):
    assert code == 1 and "Traceback" not in text, text[-3000:]
    (line,) = error_lines(text)
    assert f"cannot be written ({word})" in line
    assert f"the last good checkpoint is train_log/run{name}/model-" in line
    assert not [n for n in os.listdir(runs.out(name)) if "tempstate" in n or "_temp" in n]


def test_a_full_disk_leaves_the_checkpoint_before(runs):
    """A real one: a file system of 3 MB, of which one checkpoint takes 2.5."""
    folder = os.path.join(runs.folder, "disk")
    small = Runs(folder)
    os.makedirs(os.path.join(folder, "train_log"))
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    probe = subprocess.run(shell + [_DISK + " true"], cwd=folder, stderr=subprocess.PIPE)
    if probe.returncode:
        pytest.skip(f"no file system can be mounted here: {probe.stderr.decode()}")
    # The file system goes with the process, so what is left in it is shown by the same shell.
    command = small.command("full") + ["--workers", "2"]
    script = _DISK.replace(" exec", "") + ' { "$@"; echo code $?; ls -a train_log/runfull; }'
    done = subprocess.run(
        shell + [script, "sh"] + command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    text = done.stdout.decode("utf-8", "replace")
    assert "\ncode 1\n" in text and "Traceback" not in text, text[-3000:]
    (line,) = error_lines(text)
    assert "cannot be written (No space left on device)" in line
    listed = text.rpartition("code 1\n")[2].split()
    prefix = line.partition("the last good checkpoint is train_log/runfull/")[2].partition(";")[0]
    kept = [name for name in listed if name.startswith("model-")]
    assert sorted(kept) == [prefix + ".data-00000-of-00001", prefix + ".index"]
    assert "checkpoint" in listed and not [n for n in listed if "temp" in n or n.endswith(".tmp")]


def test_a_write_that_fails_leaves_the_checkpoint_before(runs):
    """The same where nothing can be mounted: files may not grow beyond 1 MB."""
    shutil.copytree(runs.out("whole"), runs.out("limit"))
    before = runs.last("limit")
    limit = ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"]  # blocks of 512 bytes
    code, text = runs.finish("limit", "--epoch", runs.epochs + 1, before=limit)
    assert_full_disk_is_told(runs, "limit", code, text, "File too large")
    after = runs.last("limit")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_one_training_at_a_time_in_a_folder(runs):
    first = runs.start("shared", "--epoch", 1000)
    runs.wait_for_step("shared", 1, first)
    code, text = runs.finish("shared")
    first.kill()
    first.wait()
    assert code == 1, text[-3000:]
    (line,) = error_lines(text)
    assert "another training is running in train_log/runshared" in line
    assert os.path.isdir(runs.out("shared"))


def test_another_network_does_not_go_on(runs):
    shutil.copytree(runs.out("whole"), runs.out("other"))
    code, text = runs.finish("other", "--width", 0.25, "--epoch", 99)
    (line,) = error_lines(text)
    assert code == 1 and "another network than --mode vgg" in line


def test_a_damaged_checkpoint_is_told_before_anything_changes(runs):
    shutil.copytree(runs.out("whole"), runs.out("damaged"))
    prefix = os.path.join(runs.out("damaged"), f"model-{runs.steps * runs.epochs}")
    with open(prefix + ".data-00000-of-00001", "r+b") as stream:
        stream.seek(100000)
        stream.write(b"\xff" * 100)
    code, text = runs.finish("damaged", "--epoch", 99)
    (line,) = error_lines(text)
    assert code == 1 and prefix.rpartition("/")[2] in line and "cannot be read" in line
    assert os.path.exists(prefix + ".index")
