"""What reaches the server behind the page: the few addresses it needs, with bounded bodies.

Gradio answers at many more addresses than a page of images needs: files of the server, other sites'
files through a proxy, plain calls. And among a request's arguments it follows addresses, which it would
fetch. An ASGI application in front of it lets through what the page itself sends. Nothing of Gradio is
imported here.
"""

import json
import os
import re
from typing import Any, Iterator, Tuple

_GET = re.compile(
    r"/(|config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(/\d+)?"
    r"|(assets|static|svelte)/[\w./-]+"
    r"|gradio_api/(info|app_id|startup-events|theme\.css|queue/data|queue/status|upload_progress"
    r"|heartbeat/\w+))/?"
)
_JOIN, _UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
_POST = {_JOIN, _UPLOAD, "/gradio_api/cancel", "/gradio_api/reset"}
_FILE = "/gradio_api/file="
_MOST_JSON = 1 << 20
_MOST_FORM = 1 << 16  # what a form adds to the file in it
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        b"connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'",
    ),
]


def is_open(method: str, path: str) -> bool:
    """Whether a request is one that the page sends.

    Args:
        method: of HTTP.
        path: decoded, without the query.
    """
    if ".." in path or "//" in path:
        return False
    if method in ("GET", "HEAD"):
        return _GET.fullmatch(path) is not None
    return method == "POST" and path.rstrip("/") in _POST


def _named_files(value: Any) -> Iterator[Tuple[str, Any]]:
    """(key, value) of whatever stands under ``path`` or ``url`` anywhere in JSON values."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            for key in ("path", "url"):
                if value.get(key) is not None:
                    yield key, value[key]
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def is_harmless(body: bytes, folder: str) -> bool:
    """Whether the files that a call names are uploads.

    Args:
        body: of the request, JSON.
        folder: the one for uploads.
    """
    try:
        values = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    inside = os.path.join(os.path.realpath(folder), "")
    for key, named in _named_files(values):
        if not isinstance(named, str) or "\0" in named:
            return False
        # An upload comes with the address that the browser would show it at, which nobody follows.
        path = named.split(_FILE, 1)[-1] if key == "url" else named
        if not os.path.isabs(path) or not os.path.realpath(path).startswith(inside):
            return False
    return True


class Gate:
    """An ASGI application that passes on to another what :func:`is_open` allows.

    Args:
        app: the ASGI application behind.
        folder: str, the one for uploads.
        most_bytes: of one uploaded file.
    """

    def __init__(self, app: Any, folder: str, most_bytes: int):
        self._app = app
        self._folder = folder
        self._most_form = most_bytes + _MOST_FORM

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})

    async def _http(self, scope, receive, send):
        path = scope["path"]
        if not is_open(scope["method"], path):
            await _refuse(send, 404, "not found")
        elif scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif path.rstrip("/") == _UPLOAD:
            if _declared(scope) > self._most_form:
                await _refuse(send, 413, "File size exceeded maximum allowed size")
            else:
                await self._app(scope, _bounded(receive, self._most_form), send)
        else:
            body = await _whole(receive, _MOST_JSON)
            if body is None:
                await _refuse(send, 413, "too large")
            elif path.rstrip("/") == _JOIN and not is_harmless(body, self._folder):
                await _refuse(send, 403, "names a file that is no upload")
            else:
                await self._app(scope, _replayed(body, receive), send)


def _with_headers(send):
    async def sending(message):
        if message["type"] == "http.response.start":
            message = dict(message, headers=list(message.get("headers", [])) + _HEADERS)
        await send(message)

    return sending


async def _refuse(send, code, text):
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode("utf-8")})


def _declared(scope):
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _bounded(receive, most):
    """The same body, which ends as a broken connection does where it grows too long."""
    count = [0]

    async def receiving():
        message = await receive()
        count[0] += len(message.get("body", b""))
        return {"type": "http.disconnect"} if count[0] > most else message

    return receiving


async def _whole(receive, most):
    """The body of a request, or ``None`` where it is longer than ``most`` or breaks off."""
    parts, count = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        count += len(parts[-1])
        if count > most:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body, receive):
    """A body that was read already, then whatever else comes."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving():
        return messages.pop() if messages else await receive()

    return receiving
