"""Evaluations by workers of a real Ray: the bytes of one process, whoever is killed on the way."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest
from killed_runs import batches, check_same, finished, make_command, wait_until
from made_results import PLAIN
from refusals import refusal
from trees import contents

from dgl.errors import UserError
from dgl.evaluation import ray_workers as ray_module

psutil = pytest.importorskip("psutil")
pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.slow]
IMAGES = 60
WORKERS = ["--ray-workers", "2"]


@pytest.fixture(scope="module")
def short_folder():
    """A temporary folder whose path leaves room for those of Ray's sockets."""
    folder = tempfile.mkdtemp(prefix="dgl", dir="/tmp")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def command(tmp_path_factory, root):
    return make_command(tmp_path_factory.mktemp("cluster"), root, IMAGES)


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The results of one process."""
    out = tmp_path_factory.mktemp("whole")
    finished(command + [str(out)])
    return out


class Driver:
    """A command as a process, and all processes that it started."""

    def __init__(self, command, folder):
        self._seen, self._said = set(), os.path.join(tempfile.mkdtemp(dir=folder), "said")
        with open(self._said, "wb") as said:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=said, env=dict(os.environ, TMPDIR=folder)
            )

    def family(self):
        """The processes below the command's; they are remembered."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        self._seen.update(found)
        return found

    def running_worker(self):
        """A worker that has batches, or ``None``."""
        for process in self.family():
            try:
                if process.cmdline()[:1] == ["ray::Actor.run"]:
                    return process
            except psutil.Error:
                continue
        return None

    def finish(self, spared=""):
        """Wait for the end, and for that of every process below; returns what was said.

        Processes whose names end in ``spared`` are not waited for.
        """
        wait_until(lambda: self.family() and False, self.process, every=0.1)
        self.process.wait()
        assert len(self._seen) > 2
        _, left = psutil.wait_procs(self._seen, timeout=30)
        assert not [p for p in left if not (spared and p.name().endswith(spared))]
        with open(self._said, encoding="utf-8", newline="") as said:
            return said.read().replace("\r", "\n")

    def check_gone(self):
        """The spared ones end too."""
        assert not psutil.wait_procs(self._seen, timeout=120)[1]


def test_a_worker_that_is_killed_is_replaced(command, whole, tmp_path, short_folder):
    out = tmp_path / "out"
    driver = Driver(command + [str(out)] + WORKERS, short_folder)
    victim = wait_until(lambda: len(batches(out)) >= 3 and driver.running_worker(), driver.process)
    victim.kill()
    done = len(batches(out))
    assert 3 <= done < IMAGES and not (out / "metrics.json").exists()
    said = driver.finish()
    assert driver.process.returncode == 0, said
    assert "Traceback" not in said
    check_same(out, whole)


def test_a_driver_that_is_killed_leaves_nothing_and_goes_on(command, whole, tmp_path, short_folder):
    out = tmp_path / "out"
    driver = Driver(command + [str(out)] + WORKERS, short_folder)
    wait_until(lambda: len(batches(out)) >= 5, driver.process)
    driver.family()
    driver.process.send_signal(signal.SIGKILL)
    # Ray's two agents look for the rest for a minute before they end.
    driver.finish(spared="Agent")
    done = len(batches(out))
    assert 5 <= done < IMAGES and not (out / "metrics.json").exists()
    said = Driver(command + [str(out)] + WORKERS, short_folder).finish()
    assert f"resuming: {done} of {IMAGES}" in said
    check_same(out, whole)
    driver.check_gone()


@pytest.fixture
def head(short_folder, monkeypatch):
    """The address of a cluster that runs already, on the loopback interface, with a token of its own."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ray = os.path.join(os.path.dirname(sys.executable), "ray")
    flags = "start --head --block --num-cpus 2 --num-gpus 0 --disable-usage-stats".split()
    flags += ["--port", str(port), "--include-dashboard", "false", "--temp-dir", short_folder]
    flags += ["--node-ip-address", "127.0.0.1", "--object-store-memory", "100000000"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([ray] + flags, stdout=said, stderr=said)

        def started():
            said.seek(0)
            return b"Ray runtime started" in said.read()

        try:
            assert wait_until(started, process, every=0.1)
            yield f"127.0.0.1:{port}"
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            psutil.wait_procs(family, timeout=30)


def test_a_cluster_gives_the_bytes_of_one_process(folder, many, root, tmp_path, head):
    """Everything that an evaluation can be asked for, EigenCAM, which tells numbers of threads apart."""
    script = os.path.join(root, "test_code", "evaluate_localization.py")
    given = [sys.executable, script, "--load", str(folder / "tiny.npz"), "--data", str(many)]
    given += "--gallery 2 --resamples 50 --gpu -1 --clayer 1-2 --method dgl cam eigencam".split()
    given += "--batch 3 --fuse max --alphas 1 inf --tune-split train --save-maps --out".split()
    one, two, strict = (tmp_path / name for name in ("one", "two", "strict"))
    cluster = WORKERS + ["--ray-address", head]
    # One image of each split cannot be read.
    for out, more in ((one, []), (two, cluster)):
        assert finished(given + [str(out)] + more, code=1).count("left out: ") == 2
    check_same(two, one)
    own, others = contents(one), contents(two)
    assert set(own) == set(others) and sum(name.endswith(".npy") for name in own) > 50
    # These tell the command, and images are drawn.
    other = {name for name in own if name.startswith("gallery") or name.endswith(".tex")}
    for name in sorted(set(own) - other - {"run.json", "index.html"}):
        assert own[name] == others[name], name
    said = finished(given + [str(strict), "--strict"] + cluster, code=1).replace("\r", "\n")
    (line,) = [line for line in said.split("\n") if "error:" in line]
    assert line.startswith("error: ") and "3.jpg" in line and "Traceback" not in said
    assert said.rstrip().endswith(line)


class Mortal:
    """An actor that dies of each batch."""

    def __init__(self, root, sent):
        pass

    def ready(self):
        pass

    def run(self, chunk):
        os._exit(1)


# A class that Ray sends whole, since its workers do not find this module.
SENT = type("Mortal", (object,), dict(vars(Mortal), __module__="__main__"))


def test_workers_that_always_die_and_those_without_room_end_in_one_line(monkeypatch):
    monkeypatch.setattr(ray_module, "_actor_class", lambda: SENT)
    task = SimpleNamespace(plan=PLAIN)
    with ray_module.ray_workers(2, gpu="-1") as workers:
        assert workers.gpus == 0 and workers.cpus > 0
        lost = refusal(lambda: list(workers.batches_of(task)([0, 1, 2])))
        assert lost.startswith("--ray-workers 2: a worker was lost")
        with pytest.raises(UserError, match="^--ray-workers 3: there is room for 2 of "):
            ray_module._share(workers._ray, 3, workers.cpus, 0, "-1")
        with pytest.raises(UserError, match="^--ray-workers 2: there is room for 0 of .* 1 GPUs"):
            ray_module._share(workers._ray, 2, None, 1, None)
    left = psutil.Process().children(recursive=True)
    assert not [process for process in left if "ray" in " ".join(process.cmdline())]
