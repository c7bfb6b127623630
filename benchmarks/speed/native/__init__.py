"""Two small C programs that query the processor, compiled when needed.

``rates.c`` counts how many multiply-add instructions of either precision a core executes in a second.
``shown.c`` lets oneDNN see bfloat16 instructions that a hypervisor hides and the processor executes.
"""

import json
import os
import shutil
import subprocess

from dgl.errors import UserError

FLOAT32, BFLOAT16 = "vfmadd231ps", "vdpbf16ps"
MULTIPLY_ADDS = {FLOAT32: 16, BFLOAT16: 32}  # of an instruction on 512 bits
_HERE = os.path.dirname(os.path.abspath(__file__))


def _compile(name, out, *flags):
    compiler = shutil.which("cc")
    if compiler is None:
        raise UserError("cc: not found; expected a C compiler, which measuring instructions takes")
    source = os.path.join(_HERE, name)
    done = subprocess.run(
        [compiler, "-O2"] + list(flags) + [source, "-o", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        first = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")
        raise UserError(f"{name}: does not compile here: {first.strip()}")
    return out


def rates(folder, rounds):
    """Instructions of one core in a second.

    Args:
        folder: for the program.
        rounds: int, times that each is measured, in turn.

    Returns:
        ordered instruction -> list of floats, one a round; empty where the processor has none of it.

    Raises:
        UserError: no C compiler, or one that does not know the instructions.
    """
    program = _compile("rates.c", os.path.join(folder, "rates"))
    text = subprocess.check_output([program, str(rounds)]).decode("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return {
        name: [line[name] for line in lines if line[name] is not None] for name in MULTIPLY_ADDS
    }


def shown(folder):
    """Environment for processes that are to see AVX512_BF16, a dict.

    Raises:
        UserError: no C compiler.
    """
    library = _compile("shown.c", os.path.join(folder, "shown.so"), "-shared", "-fPIC", "-ldl")
    before = os.environ.get("LD_PRELOAD")
    return {"LD_PRELOAD": library + (":" + before if before else "")}
