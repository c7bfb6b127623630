"""What ``--precision`` asks for, and the one line where the hardware lacks it."""

import pytest

from dgl.errors import UserError
from dgl.inference import precision
from dgl.inference.precision import set_precision, settle_gpu_precision
from dgl.tf_compat import tf

REWRITER = "auto_mixed_precision_onednn_bfloat16"


def rewrites(config):
    return config.graph_options.rewrite_options


def message(*arguments, **more):
    with pytest.raises(UserError) as caught:
        set_precision(tf.ConfigProto(), *arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_float32_changes_nothing():
    config = tf.ConfigProto()
    set_precision(config, "float32", flags=())
    assert config == tf.ConfigProto()


@pytest.mark.skipif(
    REWRITER not in tf.ConfigProto().graph_options.rewrite_options.DESCRIPTOR.fields_by_name,
    reason="this TensorFlow has no bfloat16 on CPUs",
)
@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_bfloat16_is_onednn_s_rewriter(flag):
    config = tf.ConfigProto()
    set_precision(config, "bf16", flags={"avx2", flag})
    assert getattr(rewrites(config), REWRITER) == 1


def test_a_processor_without_it():
    assert message("bf16", flags={"avx2", "avx512f"}) == (
        "--precision bf16: this CPU has neither avx512_bf16 nor amx_bf16; "
        "leave the flag out to compute in float32"
    )


def test_a_tensorflow_without_it(monkeypatch):
    monkeypatch.setattr(precision, "_REWRITERS", ("no_such_rewriter",))
    text = message("bf16", flags={"avx512_bf16"})
    assert text == "--precision bf16: TensorFlow {} cannot; 2.4 and later can".format(tf.VERSION)


def test_gpus_need_tensor_cores(monkeypatch):
    asked = []

    def available(min_cuda_compute_capability):
        asked.append(min_cuda_compute_capability)
        return len(asked) > 1

    monkeypatch.setattr(precision.tf.test, "is_gpu_available", available)
    assert message("bf16", 1, flags=()) == (
        "--precision bf16: expected a GPU of compute capability 8.0 or more"
    )
    config = tf.ConfigProto()
    set_precision(config, "bf16", 1, flags=())
    assert config == tf.ConfigProto()
    assert asked == [(8, 0), (8, 0)]


def test_an_unknown_precision():
    assert message("fp8") == "--precision fp8: choose of float32, bf16"


@pytest.mark.parametrize("given, left", [(None, "0"), ("1", "1")])
def test_float32_on_gpus_is_float32_unless_the_environment_says_otherwise(monkeypatch, given, left):
    name = "NVIDIA_TF32_OVERRIDE"
    monkeypatch.delenv(name, raising=False)
    settle_gpu_precision("bf16")
    assert name not in precision.os.environ
    if given is not None:
        monkeypatch.setenv(name, given)
    settle_gpu_precision("float32")
    assert precision.os.environ[name] == left
    monkeypatch.delenv(name)
