"""Starting and ending the page's server: one process, one address, nothing left behind."""

import os
import signal
import socket
import sys
from typing import Any, Callable, NamedTuple, Optional, Sequence

import numpy as np

from dgl.errors import Stopped, UserError, printable
from dgl.serving.limits import Limits, UploadFolder
from dgl.serving.middleware import Gate

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Streams of events to open pages have no end of their own.
_SECONDS_TO_END = 2


class Settings(NamedTuple):
    """What the command line says.

    Attributes:
        loads: checkpoints.
        host, port: where to listen; port 0 takes a free one.
        keep: networks in memory at most.
        limits: of uploads.
        most_waiting: requests that wait at most.
        gpu, data_set: see :class:`~dgl.predict.predictor.Predictor`.
    """

    loads: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 7860
    keep: int = 2
    limits: Limits = Limits()
    most_waiting: int = 32
    gpu: Optional[str] = None
    data_set: Optional[str] = None


def _settle_environment(folder):
    """Before Gradio is imported: nothing is reported, nothing is looked up, uploads go to ``folder``."""
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


def _listen(host: str, port: int) -> Any:
    """A socket bound to an address.

    Raises:
        UserError: the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UserError(
            f"--host {host} --port {port}: {error.strerror or error}; expected an address of this machine and a free port"
        ) from None
    return bound


def _stop(number, _):
    raise Stopped("stopped", 128 + number)


def serve(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Serve the page until a signal ends it.

    Args:
        settings: :class:`Settings`.
        say: takes each line for the person who started it.

    Raises:
        UserError: Gradio is missing, the address is taken, or a checkpoint is none.
        Stopped: SIGTERM ended it, exit code 143.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    with UploadFolder() as uploads:
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            _settle_environment(uploads.path)
            with _listen(settings.host, settings.port) as bound:
                _serve(settings, uploads.path, bound, say)
        finally:
            signal.signal(signal.SIGTERM, before)


def _serve(settings, folder, bound, say):
    try:
        import fastapi
        import gradio
        import uvicorn
    except ImportError as error:
        raise UserError(
            f'the page needs Gradio ({error}): pip install "dgl-localization[web]"'
        ) from None
    # These load TensorFlow.
    from dgl.data.bundled import sample_images
    from dgl.serving.engine import Engine
    from dgl.serving.handlers import Answers
    from dgl.serving.page import make_css, make_page, make_theme
    from dgl.serving.sessions import Visit

    try:
        samples = sample_images()
    except UserError:
        samples = []  # a copy of the project without them
    with Engine(settings.loads, settings.keep, settings.gpu, settings.data_set) as engine:
        for model in engine.models:
            say(f"{printable(model.path)}: {model.mode}, {model.classes} classes")
        answers = Answers(engine, samples, folder, settings.limits)
        # A network that does not fit is told of at once, and the first visitor need not wait for it.
        engine.look(Visit(np.zeros((64, 64, 3), np.uint8), "start"), 0, [])
        page = make_page(answers, settings.most_waiting)
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
            css=make_css(),
        )

        class Server(uvicorn.Server):
            async def startup(self, sockets=None):
                await super().startup(sockets)
                _announce(settings.host, bound, say)

            async def shutdown(self, sockets=None):
                # Gradio's own server does so: open pages hold a stream that ends by this alone.
                for route in app.routes:
                    if hasattr(getattr(route, "app", None), "stop_event"):
                        route.app.stop_event.set()
                await super().shutdown(sockets)

        server = Server(
            uvicorn.Config(
                Gate(app, folder, settings.limits.most_bytes),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=_SECONDS_TO_END,
                server_header=False,
                ws="none",
            )
        )
        server.run(sockets=[bound])


def _announce(host, bound, say):
    address, port = bound.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    say(f"page: http://{shown}:{port}/ (Ctrl-C ends it)")
    if host not in _LOOPBACK:
        say("whoever reaches this address can use the page: it asks for no password")
    sys.stdout.flush()
