"""Speedup of ``--precision bf16`` on this CPU, the limit of its instructions, and time per kernel.

oneDNN computes convolutions in bfloat16 by instructions of AVX-512 or AMX. Where a hypervisor hides those
of AVX-512 though the processor executes them, they are shown to oneDNN, for this measurement only.
"""

import os
import tempfile
from contextlib import ExitStack

import numpy as np
from tqdm import tqdm

from benchmarks.speed import arithmetic, formulas, machine, native, network, photos, spread
from benchmarks.speed.contest import (
    BATCHES,
    MAIN_LAYER,
    Contender,
    Ratio,
    check,
    ratio_rows,
    time_all,
    time_rows,
)
from benchmarks.speed.driver import Worker
from benchmarks.speed.onednn_log import ENVIRONMENT, kernel_seconds
from benchmarks.speed.spread import AT_LEAST
from benchmarks.speed.tables import instructions_table, kernels_table, ratios_table
from benchmarks.speed.workers import Setup
from dgl.utils.devices import cpu_flags, has_bfloat16

LISTED, HIDDEN = "listed by the CPU", "executed by the CPU, not listed"
ABSENT = "no avx512_bf16 or AMX on this CPU"
REST = "everything else"
_LARGE = 0.01  # share of a call above which a kind of kernel has a row of its own
# The graph of bf16, wherever it runs.
_BFLOAT16 = {"options": {"precision": "bf16-anywhere"}, "limits": formulas.BFLOAT16}
CONTENDERS = (
    Contender("forward pass", "", "ours", "forward", {}, None),
    Contender("forward pass, bf16", "", "ours", "forward", formula=None, **_BFLOAT16),
    Contender("DGL", MAIN_LAYER, "ours", "dgl", {}, "dgl"),
    Contender("DGL, bf16", MAIN_LAYER, "ours", "dgl", formula="dgl", **_BFLOAT16),
)
_KEYS = [(one.name, one.layer) for one in CONTENDERS]
RATIOS = (Ratio(_KEYS[0], _KEYS[1]), Ratio(_KEYS[2], _KEYS[3], bound=(AT_LEAST, 1.7)))


def support(flags, rates):
    """Whether the instructions are listed, hidden or absent.

    Args:
        flags: of the CPU.
        rates: as :func:`benchmarks.speed.native.rates` returns them.
    """
    if has_bfloat16(flags):
        return LISTED
    return HIDDEN if rates[native.BFLOAT16] else ABSENT


def instruction_rows(rates):
    """One row an instruction that the processor has: how many, and how many multiply-adds, a second."""
    rows = []
    for name, of_each in native.MULTIPLY_ADDS.items():
        if rates[name]:
            row = {"instruction": name, "multiply_adds": of_each}
            row["giga_a_second"] = spread.spread(np.array(rates[name]) / 1e9, 2)
            row["giga_multiply_adds_a_second"] = spread.spread(
                of_each * np.array(rates[name]) / 1e9, 1
            )
            rows.append(row)
    return rows


def most(rates):
    """The most that AVX-512's instructions allow, bf16's multiply-adds over float32's; ``None`` untold."""
    if not all(rates.values()):
        return None
    both = [np.array(rates[name]) * native.MULTIPLY_ADDS[name] for name in native.MULTIPLY_ADDS]
    return spread.ratio(both[1], both[0], 2)


def kernel_rows(setup, environment, classes):
    """Where a forward pass goes, in either precision: a row a kind of kernel, and one for the rest.

    Of maps it cannot be told so: their two backward passes run side by side.
    """
    rows, batch = [], max(BATCHES)
    environment = dict(environment, **ENVIRONMENT)
    for one in tqdm(CONTENDERS[:2], desc="kernels"):
        with tempfile.TemporaryFile() as log, Worker("ours", setup, log, environment) as worker:
            worker.time(one.case(batch), classes, calls=1, warm_up=1)
            log.seek(0, os.SEEK_END)
            start = log.tell()
            (seconds,) = worker.time(one.case(batch), classes, calls=1, warm_up=0)["seconds"]
            worker.close()
            log.seek(start)
            found = kernel_seconds(log.read().decode("utf-8", "replace"))
        large = [(key, own) for key, own in found.items() if own > _LARGE * seconds]
        named = [("{}, {}".format(*key), own) for key, own in large]
        named.append((REST, seconds - sum(own for _, own in large)))
        for kernel, own in named:
            ms = round(1000 * own / batch, 2)
            rows.append({"contender": one.name, "kernel": kernel, "ms": ms})
    return rows


def measure(options):
    """The section; see :mod:`benchmarks.speed.sections`.

    Raises:
        UserError: no C compiler, or a contender that does other work than it should.
    """
    classes = [37 * index % network.CLASSES for index in range(max(BATCHES))]
    forward, backward = arithmetic.count("vgg", [MAIN_LAYER])
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(tempfile.TemporaryFile())
        rates = native.rates(folder, options.rounds)
        kind = support(cpu_flags(), rates)
        found = {
            "network": f"VGG16-GAP, 1000 classes, {photos.SIZE} x {photos.SIZE}",
            "batches": list(BATCHES),
            "bfloat16": kind,
            "giga_multiply_adds_a_picture": round((forward + 2 * backward) / 1e9, 2),
            "instructions": instruction_rows(rates),
            "most": most(rates),
        }
        if kind == ABSENT:
            found["rows"] = ratio_rows(RATIOS, {}, dict.fromkeys(_KEYS, ABSENT))
            return found
        environment = native.shown(folder) if kind == HIDDEN else {}
        setup = Setup(
            os.path.join(folder, "weights.npz"),
            os.path.join(folder, "images.npy"),
            options.threads,
        )
        network.write(setup.weights)
        np.save(setup.images, photos.batch(max(BATCHES)))
        with Worker("ours", setup, log, environment) as ours:
            checked = machine.version("torch") is not None
            found["checks"] = "not checked: torch not installed"
            if checked:
                with Worker("autograd", setup, log) as autograd:
                    workers = {"ours": ours, "autograd": autograd}
                    found["checks"] = check(workers, CONTENDERS, classes, folder)
            times = time_all({"ours": ours}, list(CONTENDERS), classes, options.rounds, checked)
        found["kernels"] = kernel_rows(setup, environment, classes)
    found["rows"] = ratio_rows(RATIOS, times, {})
    found["times"] = time_rows(CONTENDERS, times)
    return found


def table(section):
    """Markdown: ratios, instructions and kernels."""
    parts = [ratios_table(section)]
    if section["instructions"]:
        parts.append(instructions_table(section))
    if section.get("kernels"):
        parts.append(kernels_table(section))
    return "\n\n".join(parts)
