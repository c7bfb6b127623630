"""This project's maps, as users compute them: :class:`dgl.predict.predictor.Predictor`."""

from benchmarks.speed.workers import Outcome
from dgl.predict.predictor import Predictor
from dgl.utils.devices import FLOAT32

ALPHA = 10.0


class Library:
    """One predictor for each thing asked for, kept."""

    def __init__(self, setup):
        self._mode, self._weights = setup.mode, setup.weights
        self._predictors = {}

    def configuration(self):
        return "Predictor's defaults"

    def _predictor(self, case):
        key = case.what, tuple(case.layers), tuple(sorted(case.options.items()))
        if key not in self._predictors:
            self._predictors[key] = Predictor(
                self._mode,
                self._weights,
                layers=case.layers,
                methods=() if case.what == "forward" else (case.what,),
                gpu="-1",
                alpha=float(case.options.get("alpha", ALPHA)),  # a text: JSON has no infinity
                precision=case.options.get("precision", FLOAT32),
            )
        return self._predictors[key]

    def prepare(self, case, images, classes):
        predictor = self._predictor(case)

        def call():
            found = predictor(images, classes)
            return Outcome(found.maps.get((case.what, case.layers[0])), found.logits)

        return call
