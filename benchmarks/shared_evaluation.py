#!/usr/bin/env python
"""An evaluation by one process and by workers of Ray on the same machine: seconds, and whether bytes agree.

python benchmarks/shared_evaluation.py --data data/birds --workers 2 --rounds 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = ("metrics.json", "images.csv", "records.json")


def evaluate(args, out, *flags):
    """Run one evaluation; returns the seconds from its start to its end."""
    command = [sys.executable, os.path.join(ROOT, "test_code", "evaluate_localization.py")]
    command += ["--load", args.load, "--data", args.data, "--out", out, "--gallery", "0"]
    command += ["--clayer", "1-4", "--resamples", "100", "--gpu", "-1"]
    began = time.time()
    subprocess.check_call(
        command + list(flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.time() - began


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--load", default=os.path.join(ROOT, "dgl", "pretrained", "birds_vgg.npz"))
    parser.add_argument("--data", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turns")
    args = parser.parse_args(argv)
    seconds = {"one process": [], f"{args.workers} workers": []}
    one, shared = seconds
    with tempfile.TemporaryDirectory() as folder:
        outs = {name: os.path.join(folder, name.replace(" ", "_")) for name in seconds}
        for _ in range(args.rounds):
            seconds[one].append(evaluate(args, outs[one]))
            flags = ("--ray-workers", str(args.workers))
            seconds[shared].append(evaluate(args, outs[shared], *flags))
            for name in RESULTS:
                found = []
                for out in outs.values():
                    with open(os.path.join(out, name), "rb") as stream:
                        found.append(stream.read())
                if found[0] != found[1]:
                    raise SystemExit(f"{name} differs")
        with open(os.path.join(outs[one], RESULTS[0]), encoding="utf-8") as stream:
            images = json.load(stream)["data"]["images"]
    print(f"{images} images, {os.cpu_count()} cores, the same bytes")
    for name, found in seconds.items():
        print(
            f"{name}: {statistics.median(found):.1f} s "
            f"(median of {len(found)}, {min(found):.1f} to {max(found):.1f})"
        )
    ratios = [a / b for a, b in zip(seconds[one], seconds[shared])]
    print(f"ratio, one process to workers: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
