"""What ``--precision`` asks for, where the hardware lacks it, and what bfloat16 brings there."""

import math
from unittest import mock

import pytest
from refusals import refusal

from dgl.predict import precision
from dgl.predict.precision import (
    bfloat16_gain,
    check_precision,
    has_bfloat16_kernels,
    set_gpu_precision,
)
from dgl.tf_compat import tf


@pytest.fixture(autouse=True)
def gain(monkeypatch):
    """What bfloat16 is found to bring, one number in a list."""
    found = [1.9]
    monkeypatch.setattr(precision, "bfloat16_gain", lambda: found[0])
    return found


def test_what_is_granted_and_refused(monkeypatch):
    for gpus in (0, 1):
        check_precision("float32", gpus, flags=())
    monkeypatch.setattr(precision, "_OLDEST", (1, 0))
    for flag in ("avx512_bf16", "amx_bf16"):
        check_precision("bf16", flags={"avx2", flag})
    check_precision("bf16-anywhere", flags={"avx2"})  # does not ask the processor
    message = refusal(check_precision, "bf16", flags={"avx2", "avx512f"})
    assert "--precision bf16: this CPU has neither avx512_bf16 nor amx_bf16" in message
    message = refusal(check_precision, "fp8")
    assert message == "--precision fp8: choose of float32, bf16, bf16-anywhere"


@pytest.mark.parametrize(
    "asked, found, warned",
    [("bf16", 0.5, 1), ("bf16", 1.0, 0), ("bf16-anywhere", 0.5, 0), ("float32", 0.5, 0)],
)
def test_a_processor_that_is_slower_in_it(monkeypatch, caplog, gain, asked, found, warned):
    monkeypatch.setattr(precision, "_OLDEST", (1, 0))
    gain[0] = found
    check_precision(asked, flags={"avx512_bf16"})
    assert caplog.text.count("a convolution takes 2.0 times as long") == warned
    assert len(caplog.records) == warned


@pytest.mark.parametrize("asked", ["bf16", "bf16-anywhere"])
def test_a_tensorflow_or_a_gpu_without_it(monkeypatch, asked):
    for version in ("1.15.5", "2.14.0"):
        monkeypatch.setattr(precision.tf, "VERSION", version)
        message = refusal(check_precision, asked, flags={"avx512_bf16"})
        assert message == f"--precision bf16: TensorFlow {version} cannot; 2.15 and later can"
    monkeypatch.setattr(precision.tf, "VERSION", "2.15.0-rc1")
    check_precision(asked, flags={"avx512_bf16"})
    has_cores = mock.Mock(side_effect=[False, True])
    monkeypatch.setattr(precision.tf.test, "is_gpu_available", has_cores)
    message = refusal(check_precision, asked, 1, flags=())
    assert message == "--precision bf16: expected a GPU of compute capability 8.0 or more"
    check_precision(asked, 1, flags=())
    assert has_cores.mock_calls == 2 * [mock.call(min_cuda_compute_capability=(8, 0))]


@pytest.mark.parametrize("given", [None, "1"])
def test_float32_on_gpus_is_float32_unless_the_environment_says_otherwise(monkeypatch, given):
    name = "NVIDIA_TF32_OVERRIDE"
    monkeypatch.setattr(precision.os, "environ", {} if given is None else {name: given})
    set_gpu_precision("bf16")
    assert precision.os.environ.get(name) == given
    set_gpu_precision("float32")
    assert precision.os.environ == {name: given or "0"}


@pytest.mark.skipif(not has_bfloat16_kernels(), reason="this TensorFlow has no bfloat16")
def test_on_this_machine():
    with tf.Graph().as_default() as graph:
        assert 0 < bfloat16_gain() < math.inf
        assert tf.get_default_graph() is graph and not graph.get_operations()
