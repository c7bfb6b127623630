"""CPU flags, read from a file like Linux's /proc/cpuinfo."""

from dgl.utils.cpu import cpu_flags, cpu_info, has_bfloat16


def test_flags_of_the_first_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n\nflags\t: other\n")
    assert cpu_flags(str(path)) == {"fpu", "avx2", "avx512_bf16"}
    assert cpu_flags(str(tmp_path / "absent")) == frozenset()
    assert cpu_info(str(path))["processor"] == "0"
    assert cpu_info(str(tmp_path / "absent")) == {}


def test_bfloat16_is_a_matter_of_instructions():
    assert has_bfloat16({"avx2", "amx_bf16"}) and has_bfloat16(["avx512_bf16"])
    assert not has_bfloat16({"avx2", "avx512f", "amx_tile"})
