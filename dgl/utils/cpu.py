"""CPU features and the values of `--precision`, without loading TensorFlow.

What the CPU says of itself.
"""

from typing import Container, Dict, FrozenSet

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")  # instructions that compute in bfloat16
_CPU_INFO = "/proc/cpuinfo"


def cpu_info(path: str = _CPU_INFO) -> Dict[str, str]:
    """Key -> value, both str, of the first processor that Linux lists; empty elsewhere."""
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
    """The first processor's flags, a frozenset of str; empty where there is no list."""
    return frozenset(cpu_info(path).get("flags", "").split())


def has_bfloat16(flags: Container[str]) -> bool:
    """Whether a processor with these flags computes in bfloat16 by itself."""
    return any(flag in flags for flag in BFLOAT16_FLAGS)


# The values of ``--precision``; what they do is in :mod:`dgl.predict.precision`.

FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE = "float32", "bf16", "bf16-anywhere"
PRECISIONS = (FLOAT32, BFLOAT16, BFLOAT16_ANYWHERE)
