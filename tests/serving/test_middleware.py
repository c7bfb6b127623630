"""Which requests pass the middleware."""

import json

import pytest

from dgl.serving.middleware import Middleware, is_allowed, names_only_uploads

FOLDER = "/tmp/dgl-serve-x"


ALLOWED = """
GET /
HEAD /
GET /config
GET /theme.css
GET /assets/index-DphvyggB.js
GET /static/fonts/system-ui/system-ui-Regular.woff2
GET /gradio_api/queue/data
GET /gradio_api/heartbeat/abc123
POST /gradio_api/queue/join
POST /gradio_api/upload
"""
REFUSED = """
GET /gradio_api/file=/etc/passwd
GET /gradio_api/file/etc/passwd
GET /file=/etc/passwd
GET /gradio_api/proxy=http://127.0.0.1:22/
GET /assets/../../etc/passwd
GET /assets//etc/passwd
GET /monitoring
GET /gradio_api/openapi.json
GET /docs
POST /gradio_api/run/predict
POST /gradio_api/call/predict
POST /gradio_api/component_server
POST /login
PUT /gradio_api/upload
POST /
"""


@pytest.mark.parametrize("requests, allowed", [(ALLOWED, True), (REFUSED, False)])
def test_requests(requests, allowed):
    for line in requests.split("\n")[1:-1]:
        assert is_allowed(*line.split()) == allowed, line


def call(value):
    return json.dumps({"data": [value, 0, None], "fn_index": 3, "session_hash": "abc"}).encode()


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [1, 2],
        {"path": FOLDER + "/0a/photo.png", "meta": {"_type": "gradio.FileData"}},
        {
            "path": FOLDER + "/0a/photo.png",
            "url": "http://127.0.0.1:7860/gradio_api/file=" + FOLDER + "/0a/photo.png",
        },
        [{"path": FOLDER + "/0a/a"}, {"path": FOLDER + "/0b/b", "url": None}],
    ],
)
def test_calls_with_uploads_pass(value):
    assert names_only_uploads(call(value), FOLDER)


@pytest.mark.parametrize(
    "value",
    [
        {"path": "/etc/passwd"},
        {"path": FOLDER + "/../secret"},
        {"path": FOLDER},
        {"path": FOLDER + "-other/a"},
        {"path": "relative"},
        {"path": "http://example.org/a.png"},
        {"path": "http://example.org/gradio_api/file=" + FOLDER + "/a.png"},
        {"path": FOLDER + "/a", "url": "http://example.org/a.png"},
        {"path": FOLDER + "/a", "url": "/gradio_api/file=/etc/passwd"},
        {"path": FOLDER + "/a\0b"},
        {"path": ["/etc/passwd"]},
        [[{"deep": {"path": "/etc/passwd"}}]],
    ],
)
def test_calls_that_name_other_files_do_not(value):
    assert not names_only_uploads(call(value), FOLDER)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100000])
def test_what_is_no_json_does_not_pass(body):
    assert not names_only_uploads(body, FOLDER)


def finish(coroutine):
    """Run a coroutine that waits for nothing."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def exchange(method, path, body=b"", length=None, parts=1):
    """(status, headers of the response, body that the application behind got or ``None``)."""
    step = max(1, -(-len(body) // parts))
    chunks = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
    incoming = [
        {"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]}
        for chunk in chunks
    ]
    sent, got = [], []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append(message)

    async def behind(scope, receive, send):
        more = True
        while more:
            message = await receive()
            got.append(message["body"])
            more = message.get("more_body")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    length = str(len(body)) if length is None else length
    headers = [(b"content-length", length.encode())] if length else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    finish(Middleware(behind, FOLDER, 1000)(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(got) if got else None


def test_headers_of_a_response():
    status, headers, got = exchange("GET", "/")
    assert (status, got) == (200, b"")
    assert headers[b"a"] == b"b" and headers[b"x-content-type-options"] == b"nosniff"
    policy = headers[b"content-security-policy"]
    assert b"default-src 'self'" in policy and b"http" not in policy and b"*" not in policy


JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"


@pytest.mark.parametrize("parts", [1, 7])
def test_a_call_passes_whole(parts):
    body = call({"path": FOLDER + "/0a/photo.png"})
    assert exchange("POST", JOIN, body, parts=parts)[::2] == (200, body)


@pytest.mark.parametrize(
    "method, path, body, length, status",
    [
        ("GET", "/gradio_api/file=/etc/passwd", b"", None, 404),
        ("POST", JOIN, call({"path": "/etc/passwd"}), None, 403),
        ("POST", JOIN + "/", call({"path": "/etc/passwd"}), None, 403),
        ("POST", JOIN, b"", str((1 << 20) + 1), 413),
        ("POST", "/gradio_api/cancel", b"", str((1 << 20) + 1), 413),
        ("POST", UPLOAD, b"", "1000000", 413),
        ("POST", UPLOAD, b"x", "", 411),
        ("POST", JOIN, b"{}", "-1", 411),
    ],
)
def test_refused(method, path, body, length, status):
    found = exchange(method, path, body, length)
    assert found[::2] == (status, None) and b"content-security-policy" in found[1]


def test_an_upload_passes():
    assert exchange("POST", UPLOAD, b"x" * 1000, parts=3)[::2] == (200, b"x" * 1000)
