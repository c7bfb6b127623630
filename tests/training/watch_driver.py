"""Trainings of the real script one after another in one process, each in a graph of its own.

python watch_driver.py SCRIPT FLAGS [FLAGS ...]
"""

import os
import runpy
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from dgl.tf_compat import tf


def main(script, *trainings):
    run = runpy.run_path(script)["main"]
    for flags in trainings:
        print("== " + flags, flush=True)
        with tf.Graph().as_default():
            run(flags.split())


if __name__ == "__main__":
    main(*sys.argv[1:])
