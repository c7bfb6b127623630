"""Measure the sections of the speed benchmark, or print the tables of a record.

python -m benchmarks.speed --out benchmarks/results.json
python -m benchmarks.speed --out benchmarks/results.json --only peers --plot fig/speed.png
python -m benchmarks.speed --out benchmarks/results.json --table
"""

import argparse
import os
import shlex
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from benchmarks.speed import machine, record, sections
from benchmarks.speed.options import QUICK_ROUNDS, ROUNDS, Options
from dgl.errors import UserError, run_script


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", required=True, help="the JSON to write, or to add a section to")
    parser.add_argument(
        "--only", nargs="+", metavar="SECTION", help="of " + ", ".join(sections.names())
    )
    parser.add_argument("--rounds", type=int, help=f"times that each is measured ({ROUNDS})")
    parser.add_argument("--threads", type=int, default=2, help="processor cores to use (2)")
    parser.add_argument(
        "--quick", action="store_true", help="two rounds; to see that all of it runs"
    )
    parser.add_argument("--table", action="store_true", help="measure nothing, print the tables")
    parser.add_argument("--plot", help="PNG to draw of the section `peers`")
    return parser


def chosen(only):
    """Names of the sections to measure.

    Raises:
        UserError: a name that there is no section of.
    """
    known = sections.names()
    for name in only or ():
        if name not in known:
            raise UserError("--only {}: choose of {}".format(name, ", ".join(known)))
    return [name for name in known if not only or name in only]


def command_of(argv):
    """The command as the README has it: of a path inside the project, its place there; else its name."""
    words = []
    for word in argv:
        if os.path.isabs(word):
            inside = os.path.relpath(word, ROOT)
            word = os.path.basename(word) if inside.startswith(os.pardir) else inside
        words.append(shlex.quote(word))
    return " ".join(["python -m benchmarks.speed"] + words)


def main(argv=None):
    args = make_parser().parse_args(argv)
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    if rounds < 1 or args.threads < 1:
        raise UserError("--rounds and --threads: expected positive numbers")
    names = chosen(args.only)
    if not args.table:
        machine.keep_to(args.threads)
        options = Options(rounds=rounds, threads=args.threads, quick=args.quick)
        record.read(args.out)  # what cannot be added to is better known before than after
        for name in names:
            about = {
                "command": command_of(sys.argv[1:] if argv is None else argv),
                "versions": machine.versions(),
                "machine": machine.describe(),
                "threads": args.threads,
                "rounds": rounds,
            }
            about.update(sections.load(name).measure(options))
            record.replace(args.out, name, about)
    measured = record.read(args.out)
    for name in names:
        section = sections.load(name)
        if name in measured and hasattr(section, "table"):
            print(section.table(measured[name]))
            print()
        if args.plot and name == "peers" and name in measured:
            section.draw(measured[name], args.plot)
    return 0


if __name__ == "__main__":
    run_script(main)
