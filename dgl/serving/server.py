"""Server of the page: it starts, cleans up at the end, and passes only the page's own requests to Gradio.

Gradio serves more than the page needs, such as files of the server and a proxy, and it downloads
addresses that a call names as files. Nothing of that gets through, and bodies are bounded.
"""

import json
import os
import re
import tempfile
from typing import Any, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.errors import UserError, printable
from dgl.serving.json_server import announce, listen, stoppable
from dgl.serving.sessions import Limits, Session
from dgl.weights.foreign_model import ForeignModel

# Open pages hold event streams that do not end by themselves.
SECONDS_TO_END = 2
# The page begins with photographs where its first network knows what is on them.
_CLASSES_OF_PHOTOGRAPHS = 1000

# The requests that the page sends.
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
_MOST_FORM = 1 << 16  # bytes of an upload besides the file
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'",
}


class Settings(NamedTuple):
    """Options of ``dgl serve``, as its flags; ``foreign`` tells how models of others are read."""

    loads: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 7860  # 0 takes a free one
    keep: int = 2  # the most networks in memory
    limits: Limits = Limits()
    most_waiting: int = 32  # requests
    gpu: Optional[str] = None
    data_set: Optional[str] = None
    foreign: Optional[ForeignModel] = None


def _set_environment(folder: str) -> None:
    """Set up Gradio before its import: no telemetry, no downloads, uploads in ``folder``."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_RUN_HISTORY="False",
        GRADIO_SSR_MODE="False",
        GRADIO_MCP_SERVER="False",
        GRADIO_SHARE="False",
        GRADIO_TEMP_DIR=folder,
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
    )


def serve(settings: Settings) -> None:
    """Serve the page until a signal ends it.

    Raises:
        UserError: Gradio is missing, the port is taken, or a checkpoint cannot be read.
        Stopped: SIGTERM ended it, exit code 143.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    # Readable by this user only.
    with stoppable(), tempfile.TemporaryDirectory(prefix="dgl-serve-") as name:
        uploads = os.path.realpath(name)
        _set_environment(uploads)
        with listen(settings.host, settings.port) as bound:
            _serve(settings, uploads, bound)


def _serve(settings: Settings, folder: str, bound: Any) -> None:
    try:
        import fastapi
        import gradio
        import uvicorn
    except ImportError as error:
        raise UserError(
            f'the page needs Gradio ({error}): pip install "dgl-localization[web]"'
        ) from None
    # These import TensorFlow or Gradio.
    from dgl.datasets import photographs, sample_images
    from dgl.serving.engine import Engine
    from dgl.serving.handlers import Handlers
    from dgl.serving.page import STYLE_SHEET, make_page, make_theme

    try:
        samples = sample_images()
    except UserError:
        samples = []  # installed without the sample images
    with Engine(
        settings.loads, settings.keep, settings.gpu, settings.data_set, foreign=settings.foreign
    ) as engine:
        for model in engine.models:
            print(f"{printable(model.path)}: {model.mode}, {model.classes} classes")
        if engine.models[0].classes >= _CLASSES_OF_PHOTOGRAPHS:
            samples = photographs() + samples
        handlers = Handlers(engine, samples, folder, settings.limits)
        # Build the first network now, to report errors early and to spare the first visitor the wait.
        engine.predict(Session(np.zeros((64, 64, 3), np.uint8), "start"), 0, [])
        page = make_page(handlers, settings.most_waiting)
        app = gradio.mount_gradio_app(
            fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None),
            page,
            path="/",
            server_name=settings.host,
            server_port=settings.port,
            footer_links=[],
            run_history=False,
            allowed_paths=[],
            show_error=True,
            max_file_size=settings.limits.most_bytes,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            theme=make_theme(),
            css_paths=STYLE_SHEET,
        )

        class Server(uvicorn.Server):  # type: ignore[misc]
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets)
                announce(settings.host, bound, "page")

            async def shutdown(self, sockets: Any = None) -> None:
                # As in Gradio's own server: this ends the event streams of open pages.
                for route in app.routes:
                    if hasattr(getattr(route, "app", None), "stop_event"):
                        route.app.stop_event.set()
                await super().shutdown(sockets)

        server = Server(
            uvicorn.Config(
                Middleware(app, folder, settings.limits.most_bytes),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=SECONDS_TO_END,
                server_header=False,
                ws="none",
            )
        )
        server.run(sockets=[bound])


class Middleware:
    """An ASGI application that passes the page's requests to another one and refuses the rest.

    Uploads are in ``folder`` and have ``most_bytes`` at most.
    """

    def __init__(self, app: Any, folder: str, most_bytes: int):
        self._app = app
        self._folder = folder
        self._most_form = most_bytes + _MOST_FORM

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on, or refuse, one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].rstrip("/")
        if not is_allowed(scope["method"], scope["path"]):
            return await _refuse(send, 404, "not found")
        if scope["method"] == "POST":
            # The server reads no more of a body than its declared length.
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit():
                return await _refuse(send, 411, "expected a content length")
            if int(length) > (self._most_form if path == _UPLOAD else _MOST_JSON):
                # Gradio's page shows this text.
                return await _refuse(send, 413, "File size exceeded maximum allowed size")
            if path == _JOIN:
                body = await _read(receive)
                if not names_only_uploads(body, self._folder):
                    return await _refuse(send, 403, "names a file that is not an upload")
                receive = _replay(body, receive)
        await self._app(scope, receive, send)


def is_allowed(method: str, path: str) -> bool:
    """Whether a request is one that the page sends; ``path`` is decoded, without the query."""
    if ".." in path or "//" in path:
        return False
    if method in ("GET", "HEAD"):
        return _GET.fullmatch(path) is not None
    return method == "POST" and path.rstrip("/") in _POST


def names_only_uploads(body: bytes, folder: str) -> bool:
    """Whether all files that a call names, in JSON, are in the folder of uploads."""
    try:
        values = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    inside = os.path.join(os.path.realpath(folder), "")
    for key, file in _named_files(values):
        if not isinstance(file, str) or "\0" in file:
            return False
        # The page sends an upload's URL beside its path.
        path = file.split(_FILE, 1)[-1] if key == "url" else file
        if not os.path.isabs(path) or not os.path.realpath(path).startswith(inside):
            return False
    return True


def _named_files(value: Any) -> Iterator[Tuple[str, Any]]:
    """(key, value) of every ``path`` and ``url`` in JSON values."""
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


def _with_headers(send: Any) -> Any:
    """An ASGI ``send`` that adds the headers to every response."""
    added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = dict(message, headers=[*message.get("headers", ()), *added])
        await send(message)

    return sending


async def _refuse(send: Any, code: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def _read(receive: Any) -> bytes:
    """The body of a request; incomplete if the client disconnects."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replay(body: bytes, receive: Any) -> Any:
    """Give a body that was already read again, then what follows it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Any:
        return messages.pop() if messages else await receive()

    return receiving
