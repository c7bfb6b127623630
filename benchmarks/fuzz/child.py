"""One run of Atheris on one target; the driver starts it in a process of its own.

python -m benchmarks.fuzz.child TARGET WORK [libFuzzer's options]

WORK has a folder ``corpus``. What is found goes, a JSON line each, into ``WORK/findings.jsonl``.
"""

import base64
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings

import atheris

# Only what is instrumented while it is imported guides the fuzzer. TensorFlow is too large for that.
with atheris.instrument_imports(include=["dgl", "PIL"]):
    from benchmarks.fuzz.oracle import examine, watch
    from benchmarks.fuzz.targets import TARGETS

_MEMORY = "/dev/shm"  # files there never reach a disk


def main(argv):
    name, work = argv[:2]
    target = TARGETS[name]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    folder = tempfile.mkdtemp(dir=_MEMORY if os.path.isdir(_MEMORY) else None)
    seen = set()
    for index, seed in enumerate(target.seeds()):
        with open(os.path.join(work, "corpus", f"seed-{index:03d}"), "wb") as stream:
            stream.write(seed)
        examine(target, seed, folder)  # readers import what they need at their first file
    watch()

    def one(data):
        found = examine(target, data, folder)
        if found is not None and found[0] not in seen:
            seen.add(found[0])
            line = {"kind": found[0], "details": found[1], "input": base64.b64encode(data).decode()}
            with open(os.path.join(work, "findings.jsonl"), "a") as stream:
                stream.write(json.dumps(line) + "\n")

    with open(os.path.join(work, "begin"), "w") as stream:
        stream.write(repr(time.time()))
    try:
        atheris.Setup([sys.argv[0]] + argv[2:] + [os.path.join(work, "corpus")], one)
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
