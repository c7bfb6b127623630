"""bfloat16: rates of the CPU's instructions, kernels of a log, and figures beside float32's."""

import dataclasses
import platform
import shutil

import pytest
from made_results import PLAN, filled

from benchmarks.bf16 import differences
from benchmarks.speed import native
from benchmarks.speed.onednn_log import kernel_seconds
from dgl.evaluation.plan import WSOL
from dgl.utils.devices import cpu_flags


@pytest.mark.skipif(
    shutil.which("cc") is None or platform.machine() != "x86_64",
    reason="needs a C compiler and x86-64",
)
def test_rates_are_those_of_what_the_processor_lists(tmp_path):
    rates = native.rates(str(tmp_path), 2)
    assert list(rates) == list(native.MULTIPLY_ADDS)
    assert len(rates[native.FLOAT32]) == (2 if "avx512f" in cpu_flags() else 0)
    if "avx512_bf16" in cpu_flags():
        assert len(rates[native.BFLOAT16]) == 2
    # A core starts at most two of either in a cycle, and has between a half and eight thousand MHz.
    for own in rates.values():
        assert all(1e8 < rate < 16e9 for rate in own)


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


ENTRIES = (("dgl", "a"), ("dgl", "b"), ("cam", "a"))


def test_differences_are_bfloat16_s_minus_float32_s():
    """Of two checkpoints, the first of which has the same results in both precisions."""
    plan = dataclasses.replace(PLAN, masks=False, entries=ENTRIES)
    same, *others = (filled(range(17), plan, seed=seed) for seed in (0, 1, 2))
    runs = exact, rounded = [[same, other] for other in others]
    rows = differences(exact, rounded, resamples=50)
    assert [(row["method"], row["layer"]) for row in rows] == list(ENTRIES)
    for row in rows:
        key = WSOL, (row["method"], row["layer"])
        figures = [[run.localization[key].result()["max_box_acc"] for run in both] for both in runs]
        before, after = figures
        assert row["each"] == pytest.approx([0, after[1] - before[1]], abs=1e-3)
        assert row["difference"] == pytest.approx(sum(row["each"]) / 2, abs=2e-3)
        assert row["float32"] == pytest.approx(sum(before) / 2, abs=1e-3)
        assert row["bf16"] == pytest.approx(sum(after) / 2, abs=1e-3)
        low, high = row["interval"]
        assert low <= row["difference"] <= high
    assert any(row["difference"] for row in rows)
