"""The section `bf16`: support of the CPU, limits of its instructions, rows and tables."""

import os
import platform
import shutil
import subprocess
import sys

import pytest

from benchmarks.speed import native
from benchmarks.speed.onednn_log import kernel_seconds
from benchmarks.speed.options import Options
from benchmarks.speed.sections import bf16
from dgl.errors import UserError
from dgl.predict.precision import has_bfloat16_kernels
from dgl.utils.devices import cpu_flags

MADE_UP = {"vfmadd231ps": [4e9, 6e9, 5e9], "vdpbf16ps": [1e9, 1.5e9, 2e9]}

compiles = pytest.mark.skipif(
    shutil.which("cc") is None or platform.machine() != "x86_64",
    reason="needs a C compiler and x86-64",
)


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    return native.rates(str(tmp_path_factory.mktemp("native")), 2)


@pytest.fixture
def executed(rates):
    if not has_bfloat16_kernels():
        pytest.skip("this TensorFlow has no bfloat16")
    if bf16.support(cpu_flags(), rates) == bf16.ABSENT:
        pytest.skip(bf16.ABSENT)


@compiles
def test_rates_are_those_of_what_the_processor_lists(rates):
    assert list(rates) == list(native.MULTIPLY_ADDS)
    assert len(rates[native.FLOAT32]) == (2 if "avx512f" in cpu_flags() else 0)
    if "avx512_bf16" in cpu_flags():
        assert len(rates[native.BFLOAT16]) == 2
    # A core starts at most two of either in a cycle, and has between a half and eight thousand MHz.
    for own in rates.values():
        assert all(1e8 < rate < 16e9 for rate in own)


@pytest.mark.parametrize(
    "flags, rate, found",
    [
        (["avx512_bf16"], [], bf16.LISTED),
        (["amx_bf16"], [], bf16.LISTED),
        (["avx512f"], [1e9], bf16.HIDDEN),
        (["avx512f"], [], bf16.ABSENT),
    ],
)
def test_support(flags, rate, found):
    assert bf16.support(flags, {native.BFLOAT16: rate}) == found


def test_what_instructions_allow():
    # 32 against 16 multiply-adds: 2 * 1/4, 2 * 1.5/6, 2 * 2/5.
    assert bf16.most(MADE_UP) == {"median": 0.5, "least": 0.5, "most": 0.8}
    assert bf16.most(dict(MADE_UP, vdpbf16ps=[])) is None
    exact, rounded = bf16.instruction_rows(MADE_UP)
    assert exact["giga_multiply_adds_a_second"]["median"] == 80
    assert rounded["giga_multiply_adds_a_second"]["median"] == 48
    assert rounded["giga_a_second"]["median"] == 1.5
    (only,) = bf16.instruction_rows(dict(MADE_UP, vdpbf16ps=[]))
    assert only == exact


def test_kernels_of_a_log():
    lines = [
        "onednn_verbose,v1,info,cpu,isa:Intel AVX-512",
        "onednn_verbose,v1,primitive,create:cache_miss,cpu,convolution,jit:avx2,forward,,,mb1,9.5",
        "onednn_verbose,v1,primitive,exec,cpu,convolution,brg_conv_fwd:avx512_core,forward,,,mb8,2.5",
        "onednn_verbose,v1,primitive,exec,cpu,pooling,jit:avx512_core,forward,,,mb8,4",
        "something else, exec,cpu,pooling,jit:avx512_core,1",
        "onednn_verbose,exec,cpu,convolution,jit:avx512_core,backward_data,,,mb8,7.5",
    ]
    assert list(kernel_seconds("\n".join(lines)).items()) == [
        (("convolution", "avx512_core"), pytest.approx(0.01)),
        (("pooling", "avx512_core"), pytest.approx(0.004)),
    ]


def test_a_processor_without_it_is_said(monkeypatch):
    monkeypatch.setattr(bf16.native, "rates", lambda *_: dict(MADE_UP, vdpbf16ps=[]))
    monkeypatch.setattr(bf16, "cpu_flags", frozenset)
    found = bf16.measure(Options(rounds=3))
    assert {row["not_measured"] for row in found["rows"]} == {bf16.ABSENT}
    assert [row["bound"]["met"] for row in found["rows"] if "bound" in row] == [None]
    lines = bf16.table(found).split("\n")
    wanted = "| DGL / DGL, bf16 | conv5_2 | {0} | {0} | at least 1.70 |"
    assert wanted.format(bf16.ABSENT) in lines
    assert "| vfmadd231ps | 5.00 (4.00 to 6.00) | 16 | 80 (64 to 96) |" in lines
    assert not any("second over the first" in line for line in lines)


@pytest.mark.parametrize(
    "compiler, message",
    [
        (lambda _: None, "^cc: not found; expected a C compiler"),
        (lambda _: sys.executable, "^rates.c: does not compile here: "),
    ],
)
def test_without_a_compiler(monkeypatch, tmp_path, compiler, message):
    monkeypatch.setattr(native.shutil, "which", compiler)
    with pytest.raises(UserError, match=message):
        native.rates(str(tmp_path), 1)


@compiles
@pytest.mark.slow
def test_onednn_sees_what_is_shown(executed, tmp_path):
    if "avx512_bf16" in cpu_flags():
        pytest.skip("there is nothing to show")
    code = (
        "from dgl.predict.precision import convolution; from dgl.tf_compat import tf; s = tf.Session();"
        "c = convolution(tf.bfloat16); s.run(tf.global_variables_initializer()); s.run(c)"
    )
    for environment, instructions in (({}, False), (native.shown(str(tmp_path)), True)):
        own = dict(os.environ, ONEDNN_VERBOSE="1", TF_ENABLE_ONEDNN_OPTS="1", **environment)
        text = subprocess.check_output([sys.executable, "-c", code], env=own).decode("utf-8")
        kernels = kernel_seconds(text)
        assert any(kind == "convolution" for kind, _ in kernels)
        assert any("bf16" in used for _, used in kernels) == instructions


@compiles
@pytest.mark.slow
def test_all_of_it_on_a_small_network(executed, monkeypatch):
    write = bf16.network.write
    monkeypatch.setattr(bf16.network, "write", lambda path: write(path, width=0.125))
    found = bf16.measure(Options(rounds=1))
    for row in found["rows"]:
        assert row["ratio"]["median"] > 0
    kernels = {
        (row["contender"], row["kernel"].split(",")[0]): row["ms"] for row in found["kernels"]
    }
    for name in ("forward pass", "forward pass, bf16"):
        assert kernels[name, "convolution"] > 0
        assert kernels[name, bf16.REST] > 0
    assert any("_bf16" in row["kernel"] or "amx" in row["kernel"] for row in found["kernels"])
    lines = bf16.table(found).split("\n")
    assert sum(line.startswith("| DGL / DGL, bf16 | conv5_2 |") for line in lines) == 1
    assert sum(line.startswith("| forward pass, bf16 | convolution") for line in lines) == 1
