"""One process that runs the demo on a folder and reports time or memory.

python -m benchmarks.speed.folder_run ROUNDS FLAGS OF THE DEMO ...

Writes one line of JSON on standard output: with rounds, ``session`` and ``demo``, lists of seconds, one a
round; with 0 rounds, ``megabytes``, the peak of the process after a whole run of the script.
"""

import contextlib
import json
import os
import sys
import time

import numpy as np

from benchmarks.speed.machine import peak_megabytes
from dgl.cli.localize import make_parser, run
from dgl.cli.localize_images import localize_folder, make_predictor, print_line
from dgl.data import list_images, read_image
from dgl.data.views import demo_input
from dgl.utils.parallel import chunks_of

_READY = 32  # different images held for the bare session; what they show has no influence


def time_rounds(args, rounds):
    """Seconds of the session alone, on ready batches, and of the demo, in turn.

    Args:
        args: parsed flags of the demo.
        rounds: int.

    Returns:
        ordered ``session`` and ``demo``, lists of seconds.
    """
    paths = list_images(args.data_path)
    seconds = {"session": [], "demo": []}
    with make_predictor(args) as predictor:
        size = predictor.image_size
        ready = [demo_input(read_image(path), size) for path in paths[:_READY]]
        batches = [np.stack(views) for views in chunks_of(ready, args.batch)]
        sizes = [len(chunk) for chunk in chunks_of(paths, args.batch)]
        if len(batches[0]) < sizes[0]:
            batches = [batches[0].take(range(sizes[0]), axis=0, mode="wrap")]
        batches = [batch for batch in batches if len(batch) == sizes[0]]

        def alone():
            for number, size in enumerate(sizes):
                predictor(batches[number % len(batches)][:size])

        def demo():
            localize_folder(args, predictor, paths, print_line)

        # The first run of each size of batch takes longer.
        for size in set(sizes):
            predictor(batches[0][:size])
        for number in range(rounds):
            # Whatever drifts over a round does so for the one as for the other.
            ways = [("session", alone), ("demo", demo)]
            for name, way in ways if number % 2 == 0 else ways[::-1]:
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main(argv):
    rounds, flags = int(argv[0]), argv[1:]
    args = make_parser(__doc__).parse_args(flags)
    # The demo's own lines and its bar go where nobody reads them.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        if rounds:
            found = time_rounds(args, rounds)
        else:
            run(args)
            found = {"megabytes": peak_megabytes()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
