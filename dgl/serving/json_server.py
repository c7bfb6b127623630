"""What the API and the review page share: an HTTP server with JSON answers, its address, an orderly end."""

import contextlib
import json
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Type
from urllib.parse import parse_qs, urlsplit

from dgl.errors import Stopped, UserError
from dgl.serving.sessions import MEGA

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS_TO_READ = 30  # of a client that sends nothing


def listen(host: str, port: int) -> Any:
    """A socket bound to an address.

    Raises:
        UserError: the port is taken or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, so that asyncio sends small answers at once rather than 40 ms later (TCP_NODELAY).
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UserError(
            f"--host {host} --port {port}: {error.strerror or error}; "
            "expected an address of this machine and a free port"
        ) from None
    return bound


def announce(host: str, bound: Any, what: str) -> None:
    """Print at which address the page or another service is, and who can reach it."""
    address, port = bound.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    print(f"{what}: http://{shown}:{port}/ (Ctrl-C ends it)")
    if host not in LOOPBACK:
        print(f"anybody who can reach this address can use the {what}: it has no password")
    sys.stdout.flush()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM raise :class:`~dgl.errors.Stopped` meanwhile."""

    def stop(number: int, _: Any) -> None:
        raise Stopped("stopped", 128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class JsonHandler(BaseHTTPRequestHandler):
    """HTTP of one connection; subclasses answer with ``_get`` and ``_post``.

    Attributes:
        more_headers: of every answer.
        only_programs: whether what a website sends through the browser of somebody here is refused.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SECONDS_TO_READ
    more_headers: Mapping[str, str] = {}
    only_programs = False
    server: "JsonServer"

    def _get(self, path: str, query: Mapping[str, str]) -> None:
        """Answer a GET request; of parameters that are given twice the last one counts."""
        raise NotImplementedError

    def _post(self, path: str, query: Mapping[str, str]) -> None:
        """Answer a POST request, whose body is read with :meth:`body`, or which is refused."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Check the address, and answer."""
        self._route(self._get)

    def do_POST(self) -> None:
        """Check the address, and answer."""
        self._route(self._post)

    def _route(self, answer: Callable[[str, Mapping[str, str]], None]) -> None:
        host = urlsplit("//" + self.headers.get("Host", "")).hostname
        # A website may give its own name the address of this machine (DNS rebinding).
        if self.server.host in LOOPBACK and host not in LOOPBACK:
            self.refuse(403, "expected a request to the address that was printed")
        elif self.only_programs and "Origin" in self.headers:
            self.refuse(403, "expected a request of a program")
        else:
            url = urlsplit(self.path)
            query = parse_qs(url.query, keep_blank_values=True)
            answer(url.path, {key: values[-1] for key, values in query.items()})

    def body(self, most: int) -> Optional[bytes]:
        """The body of at most so many bytes; ``None`` where it was refused, or the client went away."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self.refuse(411, "expected a Content-Length")
        elif int(length) > most:
            self.refuse(413, f"{int(length) / MEGA:.1f} MB; expected at most {most / MEGA:g} MB")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self.close_connection = True
        return None

    def refuse(self, status: int, error: str, **headers: str) -> None:
        """Answer with an error and end the connection, as the body was not read."""
        self.close_connection = True
        self.answer(status, {"error": error}, Connection="close", **headers)

    def answer(self, status: int, values: Any, **headers: str) -> None:
        """Answer with JSON."""
        data = json.dumps(values).encode("ascii") + b"\n"
        self.answer_bytes(
            status, data, "application/json", **{"Cache-Control": "no-store", **headers}
        )

    def answer_bytes(self, status: int, data: bytes, kind: str, **headers: str) -> None:
        """Answer with data of a media type."""
        own: Dict[str, str] = {"Content-Type": kind, "Content-Length": str(len(data))}
        self.send_response(status)
        for name, value in {**own, **self.more_headers, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def version_string(self) -> str:
        """The program, without its version."""
        return "dgl"

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class JsonServer(ThreadingHTTPServer):
    """HTTP on one address, as :func:`listen` takes it, a thread per connection.

    Attributes:
        host: as given, by which requests are checked.
        service: what the handlers answer with.
        writing: held by a handler that writes files; once the server is closed none begins.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, handler: Type[JsonHandler], service: Any):
        super().__init__((host, port), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listen(host, port)
        self.host = host
        self.service = service
        self.writing = threading.Lock()
        self.server_activate()

    def run(self, what: str) -> None:
        """Print the address of the page or another service, and answer until a signal ends it."""
        announce(self.host, self.socket, what)
        self.serve_forever(poll_interval=0.1)

    def server_close(self) -> None:
        """Listen no more, after what is being written."""
        self.writing.acquire()
        super().server_close()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that went away."""
