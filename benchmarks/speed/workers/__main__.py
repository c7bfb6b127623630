"""One contender's process: a line of JSON comes in, a line of JSON goes out.

python -m benchmarks.speed.workers LIBRARY

    {"do": "setup", ...}    -> {"configuration": text, "chosen": dict or null}      the fields of ``Setup``
    {"do": "time", ...}     -> {"seconds": [...], "sized": [...] or null, "outside": share or null}
    {"do": "maps", ...}     -> {}                           into the .npz file ``out``
    {"do": "memory"}        -> {"megabytes": number}

`time` and `maps` carry a case, the fields of ``Case``, and the target ``classes``. Seconds are of one call
each, from the uint8 batch to the maps; ``sized`` has the seconds with the maps brought to the images'
size, for libraries whose own call does not do that. What fails answers {"error": one line}.
"""

import importlib
import json
import os
import sys
import time

import numpy as np

from benchmarks.speed import formulas, machine, workers


def _time(library, request, case, images):
    call = library.prepare(case, images, request["classes"][: case.batch])
    for _ in range(request["warm_up"]):
        call()
    seconds, sized, outside = [], [], []
    for _ in range(request["calls"]):
        start = time.perf_counter()
        outcome = call()
        seconds.append(time.perf_counter() - start)
        if request["sized"]:
            formulas.sized(outcome.maps, images.shape[1])
            sized.append(time.perf_counter() - start)
        if outcome.outside is not None:
            outside.append(outcome.outside / seconds[-1])
    return {
        "seconds": seconds,
        "sized": sized or None,
        "outside": float(np.median(outside)) if outside else None,
    }


def _maps(library, request, case, images):
    outcome = library.prepare(case, images, request["classes"][: case.batch])()
    found = {"maps": outcome.maps, "logits": outcome.logits}
    np.savez(request["out"], **{k: v for k, v in found.items() if v is not None})
    return {}


class Loop:
    """Answers requests, one library's."""

    def __init__(self, name):
        self._name = name
        self._library = self._images = None

    def answer(self, request):
        """The answer to one request, a dict."""
        if request["do"] == "setup":
            setup = workers.Setup(**request["setup"])
            machine.keep_to(setup.threads)
            module = importlib.import_module("benchmarks.speed.workers." + self._name)
            self._images = np.load(setup.images)
            self._library = module.Library(setup)
            return {
                "configuration": self._library.configuration(),
                "chosen": getattr(self._library, "chosen", None),
            }
        if request["do"] == "memory":
            return {"megabytes": machine.peak_megabytes()}
        case = workers.Case(**request["case"])
        act = {"time": _time, "maps": _maps}[request["do"]]
        return act(self._library, request, case, self._images[: case.batch])


def main():
    # Frameworks print where they like; only answers go to what the driver reads.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    loop = Loop(sys.argv[1])
    for line in sys.stdin:
        try:
            answer = loop.answer(json.loads(line))
        except Exception as error:
            answer = {"error": "{}: {}".format(type(error).__name__, " ".join(str(error).split()))}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
