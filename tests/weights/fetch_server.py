"""A local server of weights with faults (wrong, slow, truncated answers), and what `dgl fetch` leaves."""

import hashlib
import http.server
import time

import pytest

from dgl.cli.parser import main as dgl_main
from dgl.errors import run_script


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; ``faults`` has what befalls the next requests, one each."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.seen = {}, [], []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        fault = server.faults.pop(0) if server.faults else None
        server.seen.append(self.headers.get("Range"))
        data = server.files.get(self.path)
        if data is None or fault == "404":
            self.answer(404)
        elif fault == "slow":
            time.sleep(1)
        elif fault == "page":
            self.answer(200, b"<html>sign in</html>", {"Content-Type": "text/html; charset=utf-8"})
        else:
            self.serve(b"something else" * 100 if fault == "wrong" else data, fault)

    def serve(self, data, fault):
        """The whole of a file, or the part of it that was asked for."""
        tag, start = f'"{hashlib.md5(data).hexdigest()}"', 0
        headers = {"ETag": tag}
        if self.headers.get("Range") and self.headers.get("If-Range", tag) == tag:
            start = int(self.headers["Range"][len("bytes=") : -1])
            if start >= len(data):
                self.answer(416)
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if fault != "no-length":
            headers["Content-Length"] = str(len(body))
        if fault in ("truncated", "no-length", "stalled"):
            body = body[: len(body) // 2]
        self.answer(206 if "Content-Range" in headers else 200, body, headers)
        if fault == "stalled":
            self.wfile.flush()
            time.sleep(1)

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name in headers:
            self.send_header(name, headers[name])
        self.end_headers()
        self.wfile.write(body)


def refusal(capsys, *words):
    """The one line of a failed command."""
    with pytest.raises(SystemExit) as ended:
        run_script(dgl_main, ["fetch", *words])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (1, "")
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    return line
