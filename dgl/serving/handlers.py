"""Handlers of the page's events: from a session and the controls to HTML and files, without Gradio."""

import base64
import functools
import io
import json
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.backbones.registry import LocalizeDefaults
from dgl.data.image_io import encode_image, read_image
from dgl.errors import UserError
from dgl.predict.overlay import heat_with_region
from dgl.predict.postprocess import MINMAX, Normalization, parse_normalization
from dgl.predict.predictor import defaults_of
from dgl.predict.session import Entry
from dgl.report.localize_files import json_number
from dgl.serving import panels
from dgl.serving.engine import Engine, Result
from dgl.serving.models import Model
from dgl.serving.panels import Choice
from dgl.serving.sessions import Limits, Session, read_upload, shown_name
from dgl.tf_compat import reference_kernels
from dgl.utils.devices import FLOAT32
from dgl.utils.files import weights_fingerprint

ONE, ALL, TWO = "one", "all", "two"
DEFAULT_METHOD, OTHER_METHOD = "dgl", "cam"
_USUAL = LocalizeDefaults()
# The alpha slider: tenths of a decade from 0.1 to 1000, then infinity.
LAST_ALPHA = 41
DEFAULT_ALPHA = 20
_weights = functools.lru_cache(maxsize=None)(weights_fingerprint)
_MIME = {"png": "image/png", "json": "application/json", "npy": "application/octet-stream"}


def alpha_at(position: float) -> float:
    """Alpha at a position of its slider, to two digits: 0 is 0.1, 20 is 10, 40 is 1000, 41 is ``inf``."""
    position = int(position)
    if not 0 <= position <= LAST_ALPHA:
        raise UserError(f"alpha: position {position} is not on its slider")
    if position == LAST_ALPHA:
        return float("inf")
    return float(f"{10 ** (position / 10.0 - 1):.2g}")


class Controls(NamedTuple):
    """Values of the page's controls."""

    checkpoint: int = 0  # index
    class_index: Optional[int] = None  # None for the most probable class
    layer: int = int(_USUAL.layer)  # index
    method: str = DEFAULT_METHOD
    alpha: float = DEFAULT_ALPHA  # position of its slider
    threshold: float = _USUAL.threshold
    tab: str = ONE
    other_method: str = OTHER_METHOD  # of the second map of TWO
    other_layer: int = int(_USUAL.layer)
    mode: Optional[str] = None  # backbone that the positions are of; None for the checkpoint's


class Shown(NamedTuple):
    """HTML for each part of the page; ``None`` leaves a part unchanged."""

    one: Optional[str] = None
    all: Optional[str] = None
    two: Optional[str] = None
    facts: Optional[str] = None
    classes: Optional[str] = None
    status: Optional[str] = None


class Handlers:
    """Responses to the page's events, with the sample images to offer and the folder of uploads."""

    def __init__(self, engine: Engine, samples: Sequence[str], folder: str, limits: Limits):
        self.engine = engine
        self.samples = list(samples)
        self._folder = folder
        self._limits = limits

    def upload(
        self, session: Optional[Session], path: str, controls: Controls
    ) -> Tuple[Optional[Session], Shown]:
        """A session with an uploaded image, and its maps; the old session if it cannot be read."""
        return self._begin(session, lambda: read_upload(path, self._folder, self._limits), controls)

    def sample(
        self, session: Optional[Session], index: int, controls: Controls
    ) -> Tuple[Optional[Session], Shown]:
        """A session with a sample image, and its maps; the old session if there is none."""
        if not 0 <= index < len(self.samples):
            return session, self.failed(f"no sample image {index}")
        path = self.samples[index]
        return self._begin(session, lambda: Session(read_image(path), shown_name(path)), controls)

    def _begin(
        self, before: Optional[Session], read: Callable[[], Session], controls: Controls
    ) -> Tuple[Optional[Session], Shown]:
        try:
            session = read()
        except UserError as error:
            return before, self.failed(error)
        return session, self.show(session, controls._replace(class_index=None))

    def show(self, session: Optional[Session], controls: Controls) -> Shown:
        """The maps of the session's image; the network runs only for those not computed before."""
        start = time.time()
        try:
            controls = self.adapted(controls)
            session, model, choice = self._chosen(session, controls)
            runs = session.runs
            other = choice._replace(
                entry=model.entry(controls.other_method, int(controls.other_layer)),
                normalization=_normalization(model, controls.other_method),
            )
            tabs: Dict[str, Tuple[List[Entry], Callable[..., str]]] = {
                ONE: ([choice.entry], panels.one_map),
                ALL: (model.entries(controls.method), panels.all_layers),
                TWO: ([choice.entry, other.entry], functools.partial(panels.two_methods, other)),
            }
            if controls.tab not in tabs:
                raise UserError(f"no tab {shown_name(str(controls.tab))}")
            entries, draw = tabs[controls.tab]
            result = self._predict(session, controls, choice, entries)
            shown = Shown(
                facts=panels.facts(session, model, result, choice),
                classes=panels.classes(model, result),
                **{controls.tab: draw(session, model, result, choice)},
            )
        except UserError as error:
            return self.failed(error)
        seconds = time.time() - start
        how = "one run of the network" if session.runs > runs else "without the network"
        return shown._replace(status=panels.status(f"{seconds:.2f} s, {how}"))

    def _predict(
        self, session: Session, controls: Controls, choice: Choice, entries: Sequence[Entry]
    ) -> Result:
        return self.engine.predict(
            session, choice.checkpoint, entries, controls.class_index, choice.alpha
        )

    def _chosen(
        self, session: Optional[Session], controls: Controls
    ) -> Tuple[Session, Model, Choice]:
        if session is None:
            raise UserError("no image: drop one, or click a sample")
        model = self.engine.model(int(controls.checkpoint))
        if not 0 <= controls.threshold <= 1:
            raise UserError(f"threshold {controls.threshold}: expected a value in [0, 1]")
        choice = Choice(
            int(controls.checkpoint),
            model.entry(controls.method, int(controls.layer)),
            alpha_at(controls.alpha),
            float(controls.threshold),
            _normalization(model, controls.method),
        )
        return session, model, choice

    def download(self, session: Optional[Session], controls: Controls, kind: str) -> str:
        """The map shown as a file of a kind of ``png``, ``json`` or ``npy``.

        Returns:
            JSON with the file's ``name``, ``type`` and ``data`` in base 64.

        Raises:
            UserError: there is no image, or no such map.
        """
        session, model, choice = self._chosen(session, self.adapted(controls))
        result = self._predict(session, controls, choice, [choice.entry])
        raw = result.maps[choice.entry]
        if kind == "png":
            box = panels.find_box(session, raw, choice)
            score_map = choice.score_map(raw, session.image)
            drawn = heat_with_region(session.image, score_map, choice.threshold, box)
            data = encode_image(drawn, ".png")
        elif kind == "npy":
            buffer = io.BytesIO()
            np.save(buffer, raw)
            data = buffer.getvalue()
        else:
            record = _record(session, model, result, choice)
            data = (json.dumps(record, indent=1) + "\n").encode("utf-8")
        return json.dumps(
            {
                "name": f"{_file_stem(session, model, choice.entry)}.{kind}",
                "type": _MIME[kind],
                "data": base64.b64encode(data).decode("ascii"),
            }
        )

    def adapted(self, controls: Controls) -> Controls:
        """The controls; with default layers and threshold if the positions are of another backbone.

        The page has such positions between a change of backbone and the move of its sliders.
        """
        model = self.engine.model(int(controls.checkpoint))
        if controls.mode in (None, model.mode):
            return controls
        layer = model.default_layer
        return controls._replace(
            layer=layer, other_layer=layer, threshold=model.threshold, mode=model.mode
        )

    def backbones(self) -> List[Tuple[str, int]]:
        """(name, index of its first checkpoint) of every backbone that has a checkpoint."""
        first: Dict[str, int] = {}
        for index, model in enumerate(self.engine.models):
            first.setdefault(model.mode, index)
        return [(panels.backbone_title(mode), index) for mode, index in first.items()]

    @staticmethod
    def failed(error: Union[UserError, str]) -> Shown:
        """An error in the status line; everything else stays unchanged."""
        return Shown(status=panels.status(str(error), is_error=True))


def _normalization(model: Model, method: str) -> Normalization:
    return parse_normalization(defaults_of(model.mode, model.path, method).normalize)


def _record(session: Session, model: Model, result: Result, choice: Choice) -> Dict[str, Any]:
    """The result in the fields of the record of ``dgl localize``."""
    height, width = session.size
    method, layer = choice.entry
    return {
        "image": session.name,
        "width": width,
        "height": height,
        "mode": model.mode,
        "method": method,
        "layer": layer,
        "class_index": result.class_index,
        "class_name": model.class_names.name(result.class_index),
        "probability": float(result.scores.probability[result.class_index]),
        "predicted_index": result.scores.predicted,
        "box": list(panels.find_box(session, result.maps[choice.entry], choice)),
        "threshold": choice.threshold,
        **({} if choice.normalization == MINMAX else {"normalize": str(choice.normalization)}),
        "alpha": json_number(choice.alpha),
        "checkpoint": model.label,
        "weights": _weights(model.path),
        "head": model.head,
        "image_size": model.image_size,
        "fast": not reference_kernels(),
        "precision": FLOAT32,
    }


def _file_stem(session: Session, model: Model, entry: Entry) -> str:
    """File name of a result: letters, digits, dots, hyphens and underscores only."""
    parts = (session.name.rsplit(".", 1)[0], model.mode, entry[1], entry[0])
    text = "_".join(part for part in parts if part)
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text).lstrip(".")
