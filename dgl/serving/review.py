"""Server of `dgl review`: the page, its images, and decisions as JSON.

It listens on one address, and answers requests of its own page alone: a website that the person visits at
the same time can neither read nor write through the browser.
"""

import functools
import json
import os
import signal
from typing import Any, Dict, Optional, Tuple
from urllib.parse import urlsplit

from dgl.data.image_io import encode_image, read_image
from dgl.errors import UserError
from dgl.labeling.review import FILTERS, Conflict, Review
from dgl.serving.middleware import refuse, with_headers
from dgl.serving.server import LOOPBACK, SECONDS_TO_END, announce, listen, stop
from dgl.serving.sessions import at_most

# Long side of the images that the page shows.
SHOWN_SIDE = 1600
_QUALITY = 90
_MOST_CACHED = 64  # images, of less than a megabyte each
_MOST_BODY = 1 << 20
_FOLDER = os.path.dirname(os.path.abspath(__file__))
_FILES = {
    "/": ("review.html", "text/html"),
    "/review.css": ("review.css", "text/css"),
    "/review.js": ("review.js", "text/javascript"),
    "/review_boxes.js": ("review_boxes.js", "text/javascript"),
    "/review_classes.js": ("review_classes.js", "text/javascript"),
}
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def serve_review(folder: str, host: str, port: int) -> None:
    """Serve the page for an output folder of `dgl label` until a signal ends it; port 0 takes a free one.

    Raises:
        UserError: Starlette or uvicorn is missing, the port is taken, or there are no labels to review.
        Stopped: SIGTERM ended it, exit code 143.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise UserError(
            f'the page needs uvicorn ({error}): pip install "dgl-localization[web]"'
        ) from None
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with Review(folder, progress=True) as review, listen(host, port) as bound:
            progress = review.progress()
            print(f"{folder}: {progress['reviewed']} of {progress['all']} images reviewed")

            class Server(uvicorn.Server):  # type: ignore[misc]
                async def startup(self, sockets: Any = None) -> None:
                    await super().startup(sockets)
                    announce(host, bound)

            config = uvicorn.Config(
                make_app(review, is_open=host not in LOOPBACK),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=SECONDS_TO_END,
                server_header=False,
                ws="none",
            )
            Server(config).run(sockets=[bound])
    finally:
        signal.signal(signal.SIGTERM, before)


def make_app(review: Review, is_open: bool = False) -> Any:
    """The ASGI application; ``is_open`` lets it be asked for under any name of this machine.

    Raises:
        UserError: Starlette is missing.
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError as error:
        raise UserError(
            f'the page needs Starlette ({error}): pip install "dgl-localization[web]"'
        ) from None
    handlers = _Handlers(review)
    routes = [Route(path, handlers.file) for path in _FILES]
    routes += [
        Route("/api/start", handlers.start),
        Route("/api/queue", handlers.queue),
        Route("/api/images/{number:int}", handlers.image),
        Route("/api/images/{number:int}", handlers.decide, methods=["POST"]),
        Route("/images/{number:int}.jpg", handlers.pixels),
    ]
    return _Gate(Starlette(routes=routes), is_open)


class _Gate:
    """An ASGI application that passes on requests of the page itself and refuses the rest."""

    def __init__(self, app: Any, is_open: bool):
        self._app = app
        self._is_open = is_open

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            send = with_headers(send, _HEADERS)
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await refuse(send, *refusal)

    def _refusal(self, scope: Any) -> Optional[Tuple[int, str]]:
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        host = headers.get("host", "")
        # A website may give its own name the address of this machine (DNS rebinding).
        if not self._is_open and urlsplit("//" + host).hostname not in LOOPBACK:
            return 403, "expected the address that dgl review printed"
        if scope["method"] != "POST":
            return None
        # Browsers send JSON to other sites only if these allow it, and name the site it comes from.
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            return 415, "expected JSON"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "expected a request of the page itself"
        length = headers.get("content-length", "")
        if not length.isdigit():
            return 411, "expected a content length"
        if int(length) > _MOST_BODY:
            return 413, "too many objects"
        return None


class _Handlers:
    """Responds to the requests of the page; all but :meth:`decide` run in threads of Starlette."""

    def __init__(self, review: Review):
        self._review = review

    def file(self, request: Any) -> Any:
        from starlette.responses import FileResponse

        name, kind = _FILES[request.url.path]
        return FileResponse(
            os.path.join(_FOLDER, name), media_type=kind, headers={"cache-control": "no-cache"}
        )

    def start(self, request: Any) -> Any:
        """What the page needs once."""
        review = self._review
        return _json(
            {
                "store": review.token,
                "folder": review.folder,
                "classes": review.classes,
                "filters": FILTERS,
                "progress": review.progress(),
            }
        )

    def queue(self, request: Any) -> Any:
        """Numbers of the images that a filter shows."""
        query = request.query_params
        class_index = query.get("class", "")
        try:
            numbers = self._review.queue(
                query.get("show", FILTERS[0]),
                int(class_index) if class_index else None,
                query.get("text", ""),
            )
        except (UserError, ValueError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"numbers": numbers, "progress": self._review.progress()})

    def image(self, request: Any) -> Any:
        """One image's objects, as JSON."""
        try:
            return _json(self._review.image(request.path_params["number"]))
        except UserError as error:
            return _json({"error": str(error)}, 404)

    def pixels(self, request: Any) -> Any:
        """One image as a JPEG, upright, of at most :data:`SHOWN_SIDE` pixels a side."""
        from starlette.responses import Response

        try:
            path = self._review.image_path(request.path_params["number"])
            status = os.stat(path)
            data = _encoded(path, status.st_mtime_ns, status.st_size)
        except (UserError, OSError) as error:
            return _json({"error": str(error)}, 404)
        # The page asks with the store's token, so another store's images have other addresses.
        headers = {"cache-control": "private, max-age=3600"}
        return Response(data, media_type="image/jpeg", headers=headers)

    async def decide(self, request: Any) -> Any:
        """Keep or reject an image, or undo that."""
        from starlette.concurrency import run_in_threadpool

        number = request.path_params["number"]
        try:
            values = json.loads(await request.body())
            if not isinstance(values, dict):
                raise ValueError("expected an object")
            if values.get("store") != self._review.token:
                return _json({"error": "this page is of other labels; reload it"}, 409)
            return _json(await run_in_threadpool(self._decide, number, values))
        except Conflict:
            image = await run_in_threadpool(self._review.image, number)
            return _json({"error": "changed elsewhere", "image": image}, 409)
        except UserError as error:
            return _json({"error": str(error)}, 400)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return _json({"error": f"{error!r}; expected a decision"}, 400)

    def _decide(self, number: int, values: Dict[str, Any]) -> Dict[str, Any]:
        revision = values["revision"]
        if "restore" in values:
            found = self._review.restore(number, revision, values["restore"])
        else:
            found = self._review.decide(number, revision, values["action"], values["objects"])
        return {"image": found, "progress": self._review.progress()}


@functools.lru_cache(maxsize=_MOST_CACHED)
def _encoded(path: str, _changed: int, _size: int) -> bytes:
    """The bytes of a JPEG for the page; a file that changed is another one."""
    return encode_image(at_most(read_image(path), SHOWN_SIDE), ".jpg", _QUALITY)


def _json(values: Any, status: int = 200) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse(values, status, headers={"cache-control": "no-store"})
