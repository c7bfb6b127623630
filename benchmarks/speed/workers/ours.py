"""This project's maps, as its users ask for them: :class:`dgl.localizer.Localizer`."""

from benchmarks.speed.workers import Outcome
from dgl.localizer import Localizer
from dgl.precisions import FLOAT32

ALPHA = 10.0


class Library(object):
    """One localizer for each thing asked for, kept."""

    def __init__(self, setup):
        self._weights = setup.weights
        self._localizers = {}

    def configuration(self):
        return "Localizer's defaults"

    def _localizer(self, case):
        key = case.what, tuple(case.layers), tuple(sorted(case.options.items()))
        if key not in self._localizers:
            self._localizers[key] = Localizer(
                "vgg",
                self._weights,
                layers=case.layers,
                methods=() if case.what == "forward" else (case.what,),
                gpu="-1",
                alpha=float(case.options.get("alpha", ALPHA)),  # a text: JSON has no infinity
                precision=case.options.get("precision", FLOAT32),
            )
        return self._localizers[key]

    def prepare(self, case, images, classes):
        localizer = self._localizer(case)

        def call():
            found = localizer(images, classes)
            return Outcome(found.maps.get((case.what, case.layers[0])), found.logits)

        return call
