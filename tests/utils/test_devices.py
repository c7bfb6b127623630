"""`--gpu` with and without GPUs, and the flags of CPUs."""

import os

import pytest

from dgl.errors import UserError
from dgl.utils import devices
from dgl.utils.devices import cpu_flags, cpu_info, select_gpus, session_config

VARIABLE = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The variable is as before after every test, and unset at its beginning."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with a driver and two GPUs, fewer where the variable says so."""

    def count():
        visible = os.environ.get(VARIABLE)
        return 2 if visible is None else len(visible.split(","))

    monkeypatch.setattr(devices.shutil, "which", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(devices.tf.test, "is_built_with_cuda", lambda: True)
    monkeypatch.setattr("tensorpack.utils.gpu.get_num_gpu", count)


VISIBLE = [("0,1", "0,1", 2), (" 2 , 3 ", "2,3", 2), ("1,", "1", 1), ("-1", "-1", 0), ("", "", 0)]


@pytest.mark.parametrize("gpu, visible, count", [*VISIBLE, (None, None, 2)])
def test_the_indices_hold_for_the_process_and_are_counted(two_gpus, gpu, visible, count):
    assert select_gpus(gpu) == count
    assert os.environ.get(VARIABLE) == visible


@pytest.mark.parametrize("gpu", ["a", "0;1", "1.5", "0,x", "-"])
def test_anything_but_indices_is_refused(gpu):
    with pytest.raises(UserError, match="--gpu .*expected indices like 0 or 0,1"):
        select_gpus(gpu)
    assert VARIABLE not in os.environ


def test_a_failing_driver_or_a_tensorflow_without_gpus_means_the_cpu(two_gpus, monkeypatch):
    def fail():
        raise RuntimeError("driver/library version mismatch")

    monkeypatch.setattr(devices.tf.test, "is_built_with_cuda", lambda: False)
    assert select_gpus("0,1") == 0
    monkeypatch.setattr(devices.tf.test, "is_built_with_cuda", lambda: True)
    monkeypatch.setattr("tensorpack.utils.gpu.get_num_gpu", fail)
    assert select_gpus(None) == 0


@pytest.mark.parametrize("gpu, logged", [("7", 1), ("0,3", 1), ("-1", 0), ("", 0), (None, 0)])
def test_a_gpu_that_is_not_there_is_told_once(monkeypatch, caplog, gpu, logged):
    monkeypatch.setattr(devices, "_warned", set())
    monkeypatch.setattr(devices, "_count_gpus", lambda: 0)
    assert select_gpus(gpu) == select_gpus(gpu) == 0
    assert len(caplog.records) == logged
    assert not logged or f"--gpu {gpu}: TensorFlow finds no such GPU" in caplog.text


@pytest.mark.parametrize("gpus", [0, 1])
def test_session_options(gpus):
    config = session_config(gpus)
    assert ("GPU" in config.device_count) == (gpus == 0) and not config.device_count["GPU"]
    assert config.gpu_options.allow_growth


def test_flags_of_the_first_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n\nflags\t: other\n")
    assert cpu_flags(str(path)) == {"fpu", "avx2", "avx512_bf16"}
    assert cpu_info(str(path))["processor"] == "0"
    assert cpu_info(str(tmp_path / "absent")) == {}
