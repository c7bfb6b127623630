"""`dgl serve --api`: boxes over HTTP, for scripts, from one network that stays loaded.

Each request is read, decoded and resized in a thread of its own; one thread runs the network on whatever
waits, up to a batch; boxes are found in the request's thread again. The answer is what
`dgl localize --json` says of the same image.
"""

import contextlib
import io
import queue
import threading
from concurrent.futures import Future
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from dgl.data.image_io import Decoded, decode_stream
from dgl.data.views import demo_input
from dgl.errors import UserError, quote
from dgl.predict.postprocess import MINMAX, Normalization, largest_box, score_map
from dgl.predict.predictor import Predictor
from dgl.predict.session import Entry
from dgl.serving.json_server import SECONDS_TO_READ, JsonHandler, JsonServer, stoppable
from dgl.serving.sessions import Limits, check_pixels

_PATHS = ("/", "/localize")
_PARAMETERS = ("class", "threshold")
_ENDS = "the server ends"


class ApiSettings(NamedTuple):
    """Options of ``dgl serve --api``, as its flags; beyond ``most_waiting`` requests, one gets 429."""

    host: str = "127.0.0.1"
    port: int = 7860
    limits: Limits = Limits()
    most_waiting: int = 32
    batch: int = 8
    threshold: float = 0.2
    normalization: Normalization = MINMAX


class _Job(NamedTuple):
    view: np.ndarray
    class_index: Optional[int]
    result: "Future[Tuple[int, np.ndarray, np.ndarray, np.ndarray]]"


class Batcher:
    """Runs a predictor for one entry on images of many threads, up to a batch at a time.

    A batch that fails as a whole is run again image by image.
    """

    def __init__(self, predictor: Any, entry: Entry, batch: int):
        self._predictor = predictor
        self._entry = entry
        self._batch = batch
        self._jobs: queue.Queue[Optional[_Job]] = queue.Queue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __call__(
        self, view: np.ndarray, class_index: Optional[int]
    ) -> Tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        """Run one image, together with others that wait.

        ``view`` is (S, S, 3), as the predictor takes it.

        Returns:
            (class index of the map, probability (classes,), logits (classes,), raw map (h, w)).

        Raises:
            UserError: as the predictor, or the server ends.
        """
        job = _Job(view, class_index, Future())
        with self._lock:
            if self._is_closed:
                raise UserError(_ENDS)
            self._jobs.put(job)
        return job.result.result()

    def _work(self) -> None:
        ended = False
        while not ended:
            waiting = [self._jobs.get()]
            while len(waiting) < self._batch and not self._jobs.empty():
                waiting.append(self._jobs.get())
            ended = None in waiting  # which comes last: nothing is put behind it
            jobs = [job for job in waiting if job is not None]
            for has_class in (False, True):
                chosen = [job for job in jobs if (job.class_index is not None) == has_class]
                if chosen:
                    self._run(chosen)

    def _run(self, jobs: List[_Job]) -> None:
        views = np.stack([job.view for job in jobs])
        classes = None if jobs[0].class_index is None else [job.class_index for job in jobs]
        try:
            found = self._predictor(views, classes, [self._entry])
            maps, failed = found.maps[self._entry], dict(found.failed)
            for i, job in enumerate(jobs):
                if i in failed:
                    job.result.set_exception(UserError(failed[i]))
                else:
                    values = found.probability[i], found.logits[i], maps[i]
                    job.result.set_result((int(found.class_index[i]), *values))
        # Whatever it is, the clients get an answer and the thread lives on.
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].result.set_exception(error)
            else:
                for job in jobs:
                    self._run([job])

    def close(self) -> None:
        """Refuse what comes from now on, and finish what waits, within half a minute."""
        with self._lock:
            self._is_closed = True
            self._jobs.put(None)
        self._thread.join(SECONDS_TO_READ)


class Api:
    """What the server answers, apart from HTTP, with the maps of one entry of a predictor."""

    def __init__(self, predictor: Any, entry: Entry, settings: ApiSettings):
        self._predictor = predictor
        self._settings = settings
        mode, (method, layer) = predictor.backbone.mode, entry
        self._facts = {"mode": mode, "method": method, "layer": layer}
        self.batcher = Batcher(predictor, entry, settings.batch)
        self.places = threading.BoundedSemaphore(settings.most_waiting)
        self.most_bytes = settings.limits.most_bytes

    def describe(self) -> Dict[str, Any]:
        """The network and the limits."""
        return {
            **self._facts,
            "classes": self._predictor.class_names.classes,
            "threshold": self._settings.threshold,
            "most_waiting": self._settings.most_waiting,
        }

    def localize(
        self, body: bytes, class_name: Optional[str], threshold: Optional[str]
    ) -> Dict[str, Any]:
        """The class and the box of one image.

        Args:
            body: content of an image file.
            class_name: index, name or WordNet id of the class to localize; ``None`` for the most
                probable one.
            threshold: fraction of the map's maximum, as text; ``None`` for the server's.

        Raises:
            UserError: no image, one that is too large, or no such class or threshold.
        """
        limit = self._settings.threshold if threshold is None else _fraction(threshold)
        wanted = None if class_name is None else self._predictor.class_names.find(class_name)
        check_pixels(io.BytesIO(body), "image", self._settings.limits.most_pixels)
        decoded = decode_stream(io.BytesIO(body), "image")
        view = demo_input(decoded.image, self._predictor.image_size)
        class_index, probability, logits, raw = self.batcher(view, wanted)
        return {
            "width": decoded.size[0],
            "height": decoded.size[1],
            **self._facts,
            "class_index": class_index,
            "class_name": self._predictor.class_names.name(class_index),
            "probability": float(probability[class_index]),
            "predicted_index": int(logits.argmax()),
            "box": _box(raw, decoded, limit, self._settings.normalization),
            "threshold": limit,
        }


def _box(
    raw: np.ndarray, decoded: Decoded, threshold: float, normalization: Normalization
) -> Optional[List[int]]:
    """The box as `dgl localize` finds it, ``None`` in a map that is nowhere positive."""
    if raw.max() <= 0:
        return None
    height, width = decoded.image.shape[:2]
    box = largest_box(score_map(raw, height, width, normalization), threshold)
    return [int(value) for value in decoded.to_file(box)] if box.any() else None


def _check_request(query: Mapping[str, str], content_type: str) -> None:
    """Refuse what would be ignored, and forms, whose image lies inside another body."""
    unknown = sorted(set(query) - set(_PARAMETERS))
    if unknown:
        raise UserError(f"{quote(unknown[0])}: expected the parameters {' and '.join(_PARAMETERS)}")
    if content_type.lower().startswith(("multipart/", "application/json")):
        raise UserError(
            f"{quote(content_type)}: expected the bytes of an image file as the body of the request, as "
            "curl --data-binary @photo.jpg sends them"
        )


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"threshold {text}: expected a value in [0, 1]")
    return value


class ApiHandler(JsonHandler):
    """POST an image, GET the description."""

    only_programs = True

    def _get(self, path: str, query: Mapping[str, str]) -> None:
        if path in _PATHS:
            self.answer(200, self.server.service.describe())
        else:
            self.answer(404, {"error": f"{path}: expected GET / or POST /"})

    def _post(self, path: str, query: Mapping[str, str]) -> None:
        places = self.server.service.places
        # Before the body is read, which bounds the memory that waiting requests take.
        if not places.acquire(blocking=False):
            self.refuse(429, "too many requests wait; try again", **{"Retry-After": "1"})
            return
        try:
            if path in _PATHS:
                self._localize(query)
            else:
                self.refuse(404, f"{path}: expected POST /")
        finally:
            places.release()

    def _localize(self, query: Mapping[str, str]) -> None:
        api: Api = self.server.service
        body = self.body(api.most_bytes)
        if body is None:
            return
        try:
            _check_request(query, self.headers.get("Content-Type", ""))
            self.answer(200, api.localize(body, query.get("class"), query.get("threshold")))
        except UserError as error:
            self.answer(503 if str(error) == _ENDS else 400, {"error": str(error)})
        except Exception as error:
            self.answer(500, {"error": f"{type(error).__name__}: {error}"})


def serve_api(predictor: Predictor, entry: Entry, settings: ApiSettings) -> None:
    """Answer until a signal ends it; requests that run then are finished or get an error.

    Raises:
        UserError: the port is taken, or the network does not run.
        Stopped: SIGTERM ended it, exit code 143.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    api = Api(predictor, entry, settings)
    with stoppable(), contextlib.closing(api.batcher):
        # Run once now, to report errors early and to spare the first client the wait.
        side = predictor.image_size
        api.batcher(np.zeros((side, side, 3), np.float32), None)
        with JsonServer(settings.host, settings.port, ApiHandler, api) as server:
            server.run("api")
