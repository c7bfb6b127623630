"""CPU features and the values of `--precision`, without loading TensorFlow."""

from typing import Container, Dict, FrozenSet

# The values of `--precision`; see dgl.predict.precision.
FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE = "float32", "bf16", "bf16-anywhere"
PRECISIONS = (FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE)

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")  # instructions that compute in bfloat16
_CPU_INFO = "/proc/cpuinfo"


def cpu_info(path: str = _CPU_INFO) -> Dict[str, str]:
    """The first processor's entry in Linux's ``/proc/cpuinfo``, key -> value; empty on other systems."""
    found: Dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                key, colon, value = line.partition(":")
                if colon:
                    found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return found


def cpu_flags(path: str = _CPU_INFO) -> FrozenSet[str]:
    """The first processor's feature flags; empty where the system has no list."""
    return frozenset(cpu_info(path).get("flags", "").split())


def has_bfloat16(flags: Container[str]) -> bool:
    """Whether a processor with these flags has bfloat16 instructions."""
    return any(flag in flags for flag in BFLOAT16_FLAGS)
