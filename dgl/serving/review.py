"""Server of `dgl review`: the page, its images, and decisions as JSON.

It listens on one address, and answers requests of its own page alone: a website that the person visits at
the same time can neither read nor write through the browser.
"""

import functools
import json
import os
import re
from typing import Any, Dict, Mapping
from urllib.parse import urlsplit

from dgl.data.image_io import encode_image, read_image
from dgl.errors import UserError
from dgl.labeling.review import FILTERS, Conflict, Review
from dgl.serving.json_server import JsonHandler, JsonServer, stoppable
from dgl.serving.sessions import at_most

# Long side of the images that the page shows.
SHOWN_SIDE = 1600
_QUALITY = 90
_MOST_CACHED = 64  # images, of less than a megabyte each
_MOST_BODY = 1 << 20
_FOLDER = os.path.dirname(os.path.abspath(__file__))
_FILES = {
    "/": ("review.html", "text/html; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
    "/review_boxes.js": ("review_boxes.js", "text/javascript; charset=utf-8"),
    "/review_classes.js": ("review_classes.js", "text/javascript; charset=utf-8"),
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
        UserError: the port is taken, or there are no labels to review.
        Stopped: SIGTERM ended it, exit code 143.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    with stoppable(), Review(folder, progress=True) as review, JsonServer(
        host, port, ReviewHandler, review
    ) as server:
        progress = review.progress()
        print(f"{folder}: {progress['reviewed']} of {progress['all']} images reviewed")
        server.run("page")


class ReviewHandler(JsonHandler):
    """Responds to the requests of the page."""

    more_headers = _HEADERS

    def _get(self, path: str, query: Mapping[str, str]) -> None:
        review: Review = self.server.service
        number = re.fullmatch(r"/api/images/(\d+)|/images/(\d+)\.jpg", path)
        try:
            if path in _FILES:
                name, kind = _FILES[path]
                with open(os.path.join(_FOLDER, name), "rb") as stream:
                    self.answer_bytes(200, stream.read(), kind, **{"Cache-Control": "no-cache"})
            elif path == "/api/start":  # what the page needs once
                facts = {"store": review.token, "folder": review.folder, "classes": review.classes}
                self.answer(200, {**facts, "filters": FILTERS, "progress": review.progress()})
            elif path == "/api/queue":
                self._queue(review, query)
            elif number is None:
                self.answer(404, {"error": "not found"})
            elif number.group(1):
                self.answer(200, review.image(int(number.group(1))))
            else:
                file = review.image_path(int(number.group(2)))
                status = os.stat(file)
                data = _encoded(file, status.st_mtime_ns, status.st_size)
                # The page asks with the store's token, so another store's images have other addresses.
                headers = {"Cache-Control": "private, max-age=3600"}
                self.answer_bytes(200, data, "image/jpeg", **headers)
        except (UserError, OSError) as error:
            self.answer(404, {"error": str(error)})

    def _queue(self, review: Review, query: Mapping[str, str]) -> None:
        """Numbers of the images that a filter shows."""
        wanted = query.get("class")
        try:
            numbers = review.queue(
                query.get("show", FILTERS[0]),
                int(wanted) if wanted else None,
                query.get("text", ""),
            )
        except (UserError, ValueError) as error:
            self.answer(400, {"error": str(error)})
        else:
            self.answer(200, {"numbers": numbers, "progress": review.progress()})

    def _post(self, path: str, query: Mapping[str, str]) -> None:
        """Keep or reject an image, or undo that."""
        number = re.fullmatch(r"/api/images/(\d+)", path)
        origin = self.headers.get("Origin")
        # Browsers send JSON to other sites only if these allow it, and name the site it comes from.
        if self.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            self.refuse(415, "expected JSON")
        elif origin is not None and urlsplit(origin).netloc != self.headers["Host"]:
            self.refuse(403, "expected a request of the page itself")
        elif number is None:
            self.refuse(404, "not found")
        else:
            body = self.body(_MOST_BODY)
            if body is not None:
                with self.server.writing:
                    self._decide(self.server.service, int(number.group(1)), body)

    def _decide(self, review: Review, number: int, body: bytes) -> None:
        try:
            values: Dict[str, Any] = json.loads(body)
            if values["store"] != review.token:
                self.answer(409, {"error": "this page is of other labels; reload it"})
                return
            revision = values["revision"]
            if "restore" in values:
                found = review.restore(number, revision, values["restore"])
            else:
                found = review.decide(number, revision, values["action"], values["objects"])
            self.answer(200, {"image": found, "progress": review.progress()})
        except Conflict:
            self.answer(409, {"error": "changed elsewhere", "image": review.image(number)})
        except UserError as error:
            self.answer(400, {"error": str(error)})
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self.answer(400, {"error": f"{error!r}; expected a decision"})


@functools.lru_cache(maxsize=_MOST_CACHED)
def _encoded(path: str, _changed: int, _size: int) -> bytes:
    """The bytes of a JPEG for the page; a file that changed is another one."""
    return encode_image(at_most(read_image(path), SHOWN_SIDE), ".jpg", _QUALITY)
