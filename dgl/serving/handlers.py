"""What the page answers to each thing a visitor does: pure functions of what is set, without Gradio."""

import base64
import json
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from dgl.data.image_io import read_image
from dgl.errors import UserError
from dgl.predict.postprocess import DEFAULT_THRESHOLD
from dgl.serving import panels, results
from dgl.serving.engine import Engine
from dgl.serving.limits import Limits, read_upload, shown_name
from dgl.serving.results import Choice
from dgl.serving.sessions import Visits

ONE, ALL, TWO = "one", "all", "two"
DEFAULT_LAYER, DEFAULT_METHOD, OTHER_METHOD = 2, "dgl", "cam"
# The alpha slider: tenths of a decade from 0.1 to 1000, and infinity at its end.
LAST_ALPHA = 41
DEFAULT_ALPHA = 20
_MIME = {"png": "image/png", "json": "application/json", "npy": "application/octet-stream"}


def alpha_at(position: float) -> float:
    """Alpha at a position of its slider, to two digits: 0 is 0.1, 20 is 10, 40 is 1000, 41 is ``inf``."""
    position = int(position)
    if not 0 <= position <= LAST_ALPHA:
        raise UserError(f"alpha: position {position} is not on its slider")
    if position == LAST_ALPHA:
        return float("inf")
    return float(f"{10 ** (position / 10.0 - 1):.2g}")


class Knobs(NamedTuple):
    """What is set on the page.

    Attributes:
        checkpoint: index.
        class_index: ``None`` for the most probable class.
        layer: index.
        method: name.
        alpha: position of its slider.
        threshold: in [0, 1].
        tab: :data:`ONE`, :data:`ALL` or :data:`TWO`.
        other_method, other_layer: the second map of :data:`TWO`.
    """

    checkpoint: int = 0
    class_index: Optional[int] = None
    layer: int = DEFAULT_LAYER
    method: str = DEFAULT_METHOD
    alpha: float = DEFAULT_ALPHA
    threshold: float = DEFAULT_THRESHOLD
    tab: str = ONE
    other_method: str = OTHER_METHOD
    other_layer: int = DEFAULT_LAYER


class Shown(NamedTuple):
    """HTML for each part of the page; ``None`` leaves a part as it is."""

    one: Optional[str] = None
    all: Optional[str] = None
    two: Optional[str] = None
    facts: Optional[str] = None
    classes: Optional[str] = None
    status: Optional[str] = None


class Answers:
    """All that the page does, by visitor.

    Attributes:
        engine: :class:`~dgl.serving.engine.Engine`.
        visits: :class:`~dgl.serving.sessions.Visits`.
        limits: of uploads.
        samples: paths of the sample images.
    """

    def __init__(self, engine: Engine, samples: Sequence[str], folder: str, limits: Limits):
        """Put the page's parts together.

        Args:
            engine: what runs the checkpoints.
            samples: paths of images to offer.
            folder: the one for uploads.
            limits: of uploads.
        """
        self.engine = engine
        self.visits = Visits()
        self.limits = limits
        self.samples = list(samples)
        self._folder = folder

    def upload(self, visitor: Any, path: str, knobs: Knobs) -> Shown:
        """Take an uploaded image and show its maps."""
        try:
            image, name = read_upload(path, self._folder, self.limits)
        except UserError as error:
            return self.failed(error)
        self.visits.open(visitor, image, name)
        return self.show(visitor, knobs._replace(class_index=None))

    def sample(self, visitor: Any, index: int, knobs: Knobs) -> Shown:
        """Take a sample image and show its maps."""
        if not 0 <= index < len(self.samples):
            return self.failed(f"no sample image {index}")
        path = self.samples[index]
        try:
            self.visits.open(visitor, read_image(path), shown_name(path))
        except UserError as error:
            return self.failed(error)
        return self.show(visitor, knobs._replace(class_index=None))

    def show(self, visitor: Any, knobs: Knobs) -> Shown:
        """The maps of the visitor's image by what is set; the network runs for what is new only."""
        start = time.time()
        try:
            visit, model, choice = self._chosen(visitor, knobs)
            runs = visit.runs
            other = model.entry(knobs.other_method, int(knobs.other_layer))
            if knobs.tab not in (ONE, ALL, TWO):
                raise UserError(f"no tab {shown_name(str(knobs.tab))}")
            entries = {
                ONE: [choice.entry],
                ALL: model.entries(knobs.method),
                TWO: [choice.entry, other],
            }[knobs.tab]
            look = self._look(visit, knobs, choice, entries)
            shown = Shown(
                facts=panels.facts(visit, model, look, choice),
                classes=panels.classes(model, look),
            )
            if knobs.tab == ONE:
                shown = shown._replace(one=panels.one_map(visit, model, look, choice))
            elif knobs.tab == ALL:
                shown = shown._replace(all=panels.all_layers(visit, model, look, choice))
            else:
                shown = shown._replace(two=panels.two_methods(visit, model, look, choice, other))
        except UserError as error:
            return self.failed(error)
        seconds = time.time() - start
        text = "{:.2f} s, {}".format(
            seconds, "one run of the network" if visit.runs > runs else "without the network"
        )
        return shown._replace(status=panels.status(text))

    def _chosen(self, visitor, knobs):
        visit = self.visits.get(visitor)
        model = self.engine.model(int(knobs.checkpoint))
        if not 0 <= knobs.threshold <= 1:
            raise UserError(f"threshold {knobs.threshold}: expected a value in [0, 1]")
        choice = Choice(
            int(knobs.checkpoint),
            model.entry(knobs.method, int(knobs.layer)),
            alpha_at(knobs.alpha),
            float(knobs.threshold),
        )
        return visit, model, choice

    def _look(self, visit, knobs, choice, entries):
        return self.engine.look(visit, choice.checkpoint, entries, knobs.class_index, choice.alpha)

    def download(self, visitor: Any, knobs: Knobs, kind: str) -> str:
        """A file of the present map.

        Args:
            visitor: whose.
            knobs: what is set.
            kind: ``"png"``, ``"json"`` or ``"npy"``.

        Returns:
            JSON with the file's ``name``, ``type`` and ``data`` in base 64.

        Raises:
            UserError: there is no image.
        """
        visit, model, choice = self._chosen(visitor, knobs)
        look = self._look(visit, knobs, choice, [choice.entry])
        raw = look.maps[choice.entry]
        if kind == "png":
            data = results.png_bytes(
                visit, raw, results.find_box(raw, visit.size, choice.threshold)
            )
        elif kind == "npy":
            data = results.npy_bytes(raw)
        else:
            weights = self.engine.weights(choice.checkpoint)
            data = results.json_bytes(results.record_of(visit, model, weights, look, choice))
        return json.dumps(
            {
                "name": f"{results.file_stem(visit, model, choice.entry)}.{kind}",
                "type": _MIME[kind],
                "data": base64.b64encode(data).decode("ascii"),
            }
        )

    def layer_of(self, checkpoint: int, layer: float) -> int:
        """Where a layer slider stands when another checkpoint is chosen: where it is, or at the end.

        Gradio's slider goes back to where it was when its end and its place change together, unless
        its place had to change.
        """
        return min(int(layer), len(self.engine.model(checkpoint).layers) - 1)

    def backbones(self) -> List[Tuple[str, int]]:
        """(name, its first checkpoint's index) of every backbone there is a checkpoint of."""
        first: Dict[str, int] = {}
        for index, model in enumerate(self.engine.models):
            first.setdefault(model.mode, index)
        return [(panels.backbone_title(mode), index) for mode, index in first.items()]

    def find_class(self, checkpoint: int, text: str) -> int:
        """See :meth:`~dgl.serving.models.Model.find_class`."""
        return self.engine.model(int(checkpoint)).find_class(text)

    @staticmethod
    def failed(error: Any) -> Shown:
        """One line on the page, everything else left as it is."""
        return Shown(status=panels.status(str(error), is_error=True))
