"""Server of the page: start, listen on one address, and clean up at the end."""

import os
import tempfile
from typing import Any, NamedTuple, Optional, Sequence

import numpy as np

from dgl.errors import UserError, printable
from dgl.serving.json_server import announce, listen, stoppable
from dgl.serving.sessions import Limits, Session
from dgl.weights.foreign_model import ForeignModel

# Open pages hold event streams that do not end by themselves.
SECONDS_TO_END = 2
# The page begins with photographs where its first network knows what is on them.
_CLASSES_OF_PHOTOGRAPHS = 1000


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
    from dgl.serving.middleware import Middleware
    from dgl.serving.page import make_page, make_theme, style_sheet

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
            css_paths=style_sheet(),
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
