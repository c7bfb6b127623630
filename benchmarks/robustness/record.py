"""Run every case through every reader and a sample through every script, and record the results."""

import argparse
import collections
import faulthandler
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import zlib

from dgl.errors import UserError, run_script
from dgl.utils.files import write_atomically

from . import ROOT
from .case import GOOD, REFUSED, write_case
from .corpus import all_cases

LOADERS, SCRIPTS, PROCESSES = "loaders", "scripts", "processes"
SHARE = 10  # of the inputs that may be read or not, one in so many goes through the scripts
_PATIENCE = 240  # seconds without a word after which a worker is ended


def chosen(part, share=SHARE):
    """The cases of a part, in order."""
    for case in all_cases():
        if part == SCRIPTS and case.slow:
            continue
        if part == SCRIPTS and zlib.crc32(case.name.encode("utf-8")) % share:
            continue
        yield case


def judge(case, how, refusals):
    """What is wrong with how the loaders of a case ended together, or ``None``.

    Args:
        case: :class:`~benchmarks.robustness.case.Case`.
        how: list of :class:`~benchmarks.robustness.guard.Outcome`, one a loader.
        refusals: int, those that refused it.
    """
    if case.outcome == GOOD and refusals:
        return "a sound input is refused: " + next(o.message for o in how if o.how == "refused")
    if case.outcome == REFUSED and not refusals:
        return "a bad input is read"
    return None


def run_case(case, calls, work, seconds=None):
    """Run one case through some calls.

    Args:
        case: :class:`~benchmarks.robustness.case.Case`.
        calls: list of ``(name, callable of the folder)``.
        work: str, a folder.
        seconds: float, the time limit of a call.

    Returns:
        list of :class:`~benchmarks.robustness.guard.Outcome`.
    """
    from .guard import SECONDS, SECONDS_LARGEST, attempt, memory_limit

    folder, outside = os.path.join(work, "data"), os.path.join(work, "outside")
    write_case(case, folder, outside)
    may_follow = case.name.endswith("a link out of the folder")
    seconds = seconds or (SECONDS_LARGEST if case.slow else SECONDS)
    found = []
    for _, call in calls:
        with memory_limit(8000):
            found.append(attempt(call, folder, outside, may_follow, seconds))
    return found


def _work(part, start):
    """Run the cases of a part from a place on and tell of each in a line."""
    # Scripts have the process's own output caught.
    told = os.fdopen(os.dup(1), "w", 1)
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    work = tempfile.mkdtemp()
    os.makedirs(os.path.join(work, "cwd"))
    os.makedirs(os.path.join(work, "shared"))
    os.chdir(os.path.join(work, "cwd"))
    import logging

    logging.disable(logging.CRITICAL)
    from .guard import SECONDS_LARGEST
    from .loaders import LOADERS as loaders

    scripts = None
    if part == SCRIPTS:
        from .scripts import Scripts

        scripts = Scripts(os.path.join(work, "shared"))
    # Says where it hangs, should nothing else stop it.
    errors = os.fdopen(os.dup(2), "w")
    for number, case in enumerate(chosen(part)):
        if number < start:
            continue
        faulthandler.dump_traceback_later(_PATIENCE - 20, file=errors)
        told.write(json.dumps({"begin": number, "kind": case.kind, "name": case.name}) + "\n")
        if scripts is None:
            calls, seconds = loaders[case.kind], None
        else:
            folder = os.path.join(work, "data")
            calls = [(s, scripts.call(s, argv)) for s, argv in scripts.calls(case, folder)]
            seconds = SECONDS_LARGEST
        outcomes = run_case(case, calls, work, seconds)
        wrong = None
        if scripts is None:
            wrong = judge(case, outcomes, sum(o.how == "refused" for o in outcomes))
        for (name, _), outcome in zip(calls, outcomes):
            fault = outcome.message if outcome.is_fault and outcome.message else outcome.how
            told.write(
                json.dumps({
                    "call": name, "how": outcome.how if not outcome.is_fault else "fault",
                    "fault": fault if outcome.is_fault else wrong,
                    "seconds": outcome.seconds, "megabytes": outcome.megabytes,
                }) + "\n"
            )  # fmt: skip
            wrong = None
    told.write(json.dumps({"end": True}) + "\n")
    shutil.rmtree(work, ignore_errors=True)
    told.flush()
    os._exit(0)  # threads that hang would be waited for


class _Part:
    """What a part of the run amounts to."""

    def __init__(self):
        self.inputs, self.calls, self.faults = collections.Counter(), collections.Counter(), []
        self.refused, self.seconds, self.megabytes = 0, (0.0, ""), (0.0, "")

    def add(self, case, row):
        self.calls[row["call"]] += 1
        self.refused += row["how"] == "refused"
        where = "{}: {}".format(case["kind"], case["name"])
        self.seconds = max(self.seconds, (row["seconds"], where))
        self.megabytes = max(self.megabytes, (row["megabytes"], where))
        if row["fault"]:
            self.faults.append({"input": where, "call": row["call"], "fault": row["fault"]})

    def record(self):
        count = collections.Counter(f["fault"].split(":")[0] for f in self.faults)
        return {
            "inputs": sum(self.inputs.values()),
            "inputs_by_kind": dict(sorted(self.inputs.items())),
            "calls": sum(self.calls.values()),
            "calls_by_reader": dict(sorted(self.calls.items())),
            "refused": self.refused,
            "tracebacks": count["traceback"],
            "hangs": count["hang"],
            "crashes": count["crash"],
            "other_faults": len(self.faults) - count["traceback"] - count["hang"] - count["crash"],
            "most_seconds": round(self.seconds[0], 2),
            "slowest": self.seconds[1],
            "most_megabytes": round(self.megabytes[0]),
            "largest": self.megabytes[1],
            "faults": self.faults,
        }


def _lines(process):
    """Lines of a worker; ends where it ends or is silent for too long."""
    descriptor, rest = process.stdout.fileno(), b""
    while select.select([descriptor], [], [], _PATIENCE)[0]:
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield json.loads(line.decode("ascii"))


def _run_part(part):
    found, start, is_done = _Part(), 0, False
    while not is_done:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.robustness", "--worker", part, "--start", str(start)],
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        case = None
        for row in _lines(process):
            if "begin" in row:
                case, start = row, row["begin"] + 1
                found.inputs[case["kind"]] += 1
            elif "end" in row:
                is_done = True
            else:
                found.add(case, row)
        is_silent = process.poll() is None and not is_done
        process.kill()
        process.wait()
        if not is_done:
            if case is None:
                raise UserError(f"the worker of the {part} does not start")
            how = "hang" if is_silent else "crash"
            row = {"call": "the process", "how": "fault", "fault": how}
            found.add(case, dict(row, seconds=0, megabytes=0))
    return found.record()


def _run_processes():
    from pathlib import Path

    from demo_runs import write_vgg

    from .processes import runs

    rows = []
    with tempfile.TemporaryDirectory() as work:
        load = write_vgg(Path(work))
        for what, inputs, code, fault, seconds, megabytes in runs(os.path.join(work, "w"), load):
            rows.append(
                {
                    "run": what, "inputs": inputs, "exit_code": code, "fault": fault,
                    "seconds": round(seconds, 1), "megabytes": round(megabytes),
                }
            )  # fmt: skip
            print(json.dumps(rows[-1]))
    return rows


def table(record):
    """The figures of a record as a table for docs/security.md."""
    lines = [
        "| part | inputs | calls | refused | tracebacks | hangs | crashes | other faults | longest | "
        "most memory |",
        "| --- |" + " --- |" * 9,
    ]
    for part in (LOADERS, SCRIPTS):
        row = record[part]
        lines.append(
            "| {} | {:,} | {:,} | {:,} | {} | {} | {} | {} | {:.1f} s | {:,} MB |".format(
                part, row["inputs"], row["calls"], row["refused"], row["tracebacks"], row["hangs"],
                row["crashes"], row["other_faults"], row["most_seconds"], row["most_megabytes"],
            )
        )  # fmt: skip
    rows = record[PROCESSES]
    faults = [row["fault"] or "" for row in rows]
    lines.append(
        "| {} | {:,} | {} | {} | {} | {} | {} | {} | {:.1f} s | {:,} MB |".format(
            PROCESSES, sum(row["inputs"] for row in rows), len(rows),
            sum(row["exit_code"] == 1 for row in rows),
            sum(f.startswith("traceback") for f in faults), faults.count("hang"),
            sum(f.startswith("killed") for f in faults),
            sum(f.startswith(("exit", "memory")) for f in faults),
            max(row["seconds"] for row in rows), max(row["megabytes"] for row in rows),
        )
    )  # fmt: skip
    kinds = record[LOADERS]["inputs_by_kind"]
    lines += ["", "| kind of input | number |", "| --- | --- |"]
    lines += [f"| {kind} | {number:,} |" for kind, number in kinds.items()]
    return "\n".join(lines) + "\n"


def main(argv=None):
    """Parse flags and run; returns the exit code: 1 where anything is at fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__)
    parser.add_argument("--out", help="JSON record to write")
    parser.add_argument("--only", choices=(LOADERS, SCRIPTS, PROCESSES), nargs="+")
    parser.add_argument("--worker", choices=(LOADERS, SCRIPTS), help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        _work(args.worker, args.start)
    record = {}
    if args.out and os.path.isfile(args.out):
        with open(args.out, encoding="utf-8") as stream:
            record = json.load(stream)
    for part in args.only or (LOADERS, SCRIPTS, PROCESSES):
        record[part] = _run_processes() if part == PROCESSES else _run_part(part)
        if args.out:
            text = json.dumps(record, indent=1) + "\n"
            write_atomically(args.out, text.encode("utf-8"))
    faults = [
        fault for part in (LOADERS, SCRIPTS) for fault in record.get(part, {}).get("faults", ())
    ]
    faults += [row for row in record.get(PROCESSES, ()) if row["fault"]]
    for fault in faults[:40]:
        print(json.dumps(fault))
    if all(part in record for part in (LOADERS, SCRIPTS, PROCESSES)):
        print(table(record))
    return 1 if faults else 0


def run():
    """As a command."""
    run_script(main)
