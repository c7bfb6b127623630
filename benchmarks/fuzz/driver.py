"""Run the fuzzer, each target in its own process, and collect the findings."""

import base64
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from benchmarks.fuzz.samples import ROOT

MEMORY_LIMIT = 2560  # MB of the process, TensorFlow's 600 among them
HANGS = 20  # seconds after which an input's process is ended
_MOST_STARTS = 20
_PROGRESS = re.compile(
    r"^#(\d+)\s+(\w+).*?cov: (\d+) ft: (\d+) corp: (\d+)/.*?rss: (\d+)Mb", re.MULTILINE
)


def fuzz(target, seconds, corpus=None):
    """Fuzz one target.

    Args:
        target: :class:`~benchmarks.fuzz.target.Target`.
        seconds: int, that all starts together take.
        corpus: str, a folder of inputs to begin with, which receives the new ones; or ``None``.

    Returns:
        (figures, findings): ordered dict of numbers, and a list of dicts ``kind``, ``details`` and
        ``input`` (bytes), one of each kind.
    """
    work = tempfile.mkdtemp(prefix="fuzz-" + target.name)
    try:
        inputs = os.path.join(work, "corpus")
        os.makedirs(inputs)
        if corpus is not None and os.path.isdir(corpus):
            for path in glob.glob(os.path.join(corpus, "*")):
                shutil.copy(path, inputs)
        spent, executions, last, starts = 0.0, 0, None, 0
        # What ends a process (a hang, memory) has the next one go on from its inputs.
        while spent < seconds - 1 and starts < _MOST_STARTS:
            starts += 1
            log = _start(target, work, int(seconds - spent))
            steps = _PROGRESS.findall(log)
            if not steps:
                raise RuntimeError("the fuzzer did not start:\n" + log[-3000:])
            executions += int(steps[-1][0])
            last = steps[-1]
            with open(os.path.join(work, "begin")) as stream:
                spent += time.time() - float(stream.read())
        figures = {
            "seconds": round(spent),
            "executions": executions,
            "executions_per_second": round(executions / spent),
            "coverage": int(last[2]),
            "features": int(last[3]),
            "corpus": int(last[4]),
            "peak_mb": int(last[5]),
            "starts": starts,
        }
        if corpus is not None:
            shutil.rmtree(corpus, ignore_errors=True)
            shutil.copytree(inputs, corpus)
        return figures, _findings(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _start(target, work, seconds):
    """One process; returns what it printed."""
    command = [sys.executable, "-m", "benchmarks.fuzz.child", target.name, work]
    command += [
        f"-max_total_time={seconds}",
        f"-max_len={target.longest}",
        f"-timeout={HANGS}",
        f"-rss_limit_mb={MEMORY_LIMIT}",
        "-artifact_prefix=" + work + os.sep,
        "-seed=1",
    ]
    if target.tokens:
        command.append("-dict=" + _write_tokens(target.tokens, work))
    path = os.path.join(work, "log")
    with open(path, "wb") as stream:
        subprocess.call(
            command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    with open(path, errors="replace") as stream:
        return stream.read()


def _write_tokens(tokens, work):
    path = os.path.join(work, "tokens")
    with open(path, "w") as stream:
        for token in tokens:
            escaped = "".join(f"\\x{byte:02x}" for byte in token)
            stream.write(f'"{escaped}"\n')
    return path


def _findings(work):
    found = {}
    path = os.path.join(work, "findings.jsonl")
    if os.path.exists(path):
        with open(path) as stream:
            for line in stream:
                one = json.loads(line)
                one["input"] = base64.b64decode(one["input"])
                found.setdefault(one["kind"], one)
    for kind in ("crash", "timeout", "oom"):
        for path in sorted(glob.glob(os.path.join(work, kind + "-*"))):
            with open(path, "rb") as stream:
                data = stream.read()
            found.setdefault(kind, {"kind": kind, "details": "the process ended", "input": data})
    return list(found.values())
