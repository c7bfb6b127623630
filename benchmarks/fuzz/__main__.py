"""Fuzz readers with Atheris and record the results.

python -m benchmarks.fuzz all --seconds 180 --jobs 2
python -m benchmarks.fuzz npz voc_xml --seconds 60
python -m benchmarks.fuzz --table
"""

import argparse
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from benchmarks.fuzz import cases, record
from benchmarks.fuzz.driver import fuzz
from benchmarks.fuzz.targets import TARGETS
from dgl.errors import UserError, run_script


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__.splitlines()[0]
    )
    parser.add_argument("targets", nargs="*", help="`all`, or of " + ", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=180, help="for each target (180)")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time (1)")
    parser.add_argument("--corpus", help="folder of inputs to go on from and to keep")
    parser.add_argument(
        "--out", default=record.PATH, help="the record (benchmarks/results/fuzz.json)"
    )
    parser.add_argument(
        "--table", action="store_true", help="run nothing, print the record's table"
    )
    return parser


def chosen(names):
    """The targets of these names; ``all`` stands for every one.

    Raises:
        UserError: there is no target of a name, or none is given.
    """
    if not names:
        raise UserError("expected `all` or targets out of {}".format(", ".join(TARGETS)))
    for name in names:
        if name != "all" and name not in TARGETS:
            raise UserError("{}: no such target; choose of {}".format(name, ", ".join(TARGETS)))
    return list(TARGETS.values()) if "all" in names else [TARGETS[name] for name in names]


def add_run(own, name, figures, found):
    """The record of a target after one more run; what was found before stays in it."""
    findings = {one["case"]: one for one in (own or {}).get("findings", ())}
    for one in found:
        case = cases.keep(name, one["kind"], one["input"])
        findings[case] = {"kind": one["kind"], "case": case}
        print("{}: {}\n{}".format(name, one["kind"], one["details"]))
    for one in findings.values():
        one["fixed"] = not any(one["kind"] == new["kind"] for new in found)
    return dict(figures, findings=list(findings.values()))


def main(argv=None):
    args = make_parser().parse_args(argv)
    if args.table:
        sys.stdout.write(record.table(record.read(args.out)))
        return 0
    targets = chosen(args.targets)
    try:
        from importlib.metadata import version

        atheris = version("atheris")
    except ImportError:
        raise UserError(
            "the package atheris is needed to fuzz: pip install -r requirements/fuzz.txt"
        ) from None

    def run(target):
        corpus = args.corpus and os.path.join(args.corpus, target.name)
        return target, fuzz(target, args.seconds, corpus)

    open_findings = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        for target, (figures, found) in pool.map(run, targets):
            whole = record.read(args.out)
            whole["versions"] = {"atheris": atheris, "python": platform.python_version()}
            own = whole["targets"].get(target.name)
            whole["targets"][target.name] = add_run(own, target.name, figures, found)
            record.write(whole, TARGETS, args.out)
            print(target.name, dict(figures))
            sys.stdout.flush()
            open_findings += len(found)
    return 1 if open_findings else 0


if __name__ == "__main__":
    run_script(main)
