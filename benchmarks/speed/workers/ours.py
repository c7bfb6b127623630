"""This project's maps, as its users ask for them: :class:`dgl.localizer.Localizer`."""

from benchmarks.speed.workers import Outcome
from dgl.localizer import Localizer


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
                **{name: float(value) for name, value in case.options.items()},
            )
        return self._localizers[key]

    @staticmethod
    def _alpha(case):
        # JSON has no infinity.
        return {name: float(value) for name, value in case.options.items() if name == "alpha"}

    def prepare(self, case, images, classes):
        localizer = self._localizer(case)

        def call():
            found = localizer(images, classes)
            return Outcome(found.maps.get((case.what, case.layers[0])), found.logits)

        return call
