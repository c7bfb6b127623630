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
            self.send_error(404)
            return
        if fault == "slow":
            time.sleep(1)
            return
        if fault == "page":
            self.answer(200, b"<html>sign in</html>", {"Content-Type": "text/html; charset=utf-8"})
            return
        if fault == "wrong":
            data = b"something else" * 100
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        headers = {"ETag": tag, "Content-Length": str(len(data))}
        start, status = 0, 200
        if self.headers.get("Range") and self.headers.get("If-Range", tag) == tag:
            start, status = int(self.headers["Range"][len("bytes=") : -1]), 206
            if start >= len(data):
                self.answer(416, b"", {})
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            headers["Content-Length"] = str(len(data) - start)
        if fault == "no length":
            del headers["Content-Length"]
        body = data[start:]
        if fault in ("truncated", "no length", "stalled"):
            body = body[: len(body) // 2]
        self.answer(status, body, headers)
        if fault == "stalled":
            self.wfile.flush()
            time.sleep(1)

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
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
