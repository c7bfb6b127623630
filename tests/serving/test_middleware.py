"""Which requests pass the middleware."""

import json

import pytest

from dgl.serving.server import Middleware, is_allowed, names_only_uploads

FOLDER = "/tmp/dgl-serve-x"
PHOTO = FOLDER + "/0a/photo.png"


@pytest.mark.parametrize(
    "method, paths, allowed",
    [
        ("GET", "/ /config /theme.css /assets/index-DphvyggB.js /gradio_api/queue/data", True),
        ("GET", "/static/fonts/system-ui/system-ui-Regular.woff2 /gradio_api/heartbeat/a1", True),
        ("HEAD", "/", True),
        ("POST", "/gradio_api/queue/join /gradio_api/upload", True),
        ("GET", "/gradio_api/file=/etc/passwd /gradio_api/file/etc/passwd /docs", False),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:22/ /monitoring /file=/etc/passwd", False),
        ("GET", "/assets/../../etc/passwd /assets//etc/passwd /gradio_api/openapi.json", False),
        ("POST", "/ /login /gradio_api/run/predict /gradio_api/call/predict", False),
        ("POST", "/gradio_api/component_server", False),
        ("PUT", "/gradio_api/upload", False),
    ],
)
def test_requests(method, paths, allowed):
    for path in paths.split():
        assert is_allowed(method, path) == allowed, path


def call(value):
    return json.dumps({"data": [value, 0, None], "fn_index": 3, "session_hash": "abc"}).encode()


UPLOADS = [
    None,
    "text",
    [1, 2],
    {"path": PHOTO, "meta": {"_type": "gradio.FileData"}},
    {"path": PHOTO, "url": "http://127.0.0.1:7860/gradio_api/file=" + PHOTO},
    [{"path": PHOTO}, {"path": FOLDER + "/0b/b", "url": None}],
]
OTHERS = [
    {"path": "/etc/passwd"},
    {"path": FOLDER + "/../secret"},
    {"path": FOLDER},
    {"path": FOLDER + "-other/a"},
    {"path": "relative"},
    {"path": "http://example.org/a.png"},
    {"path": "http://example.org/gradio_api/file=" + PHOTO},
    {"path": PHOTO, "url": "http://example.org/a.png"},
    {"path": PHOTO, "url": "/gradio_api/file=/etc/passwd"},
    {"path": FOLDER + "/a\0b"},
    {"path": ["/etc/passwd"]},
    [[{"deep": {"path": "/etc/passwd"}}]],
]


@pytest.mark.parametrize("values, passes", [(UPLOADS, True), (OTHERS, False)])
def test_calls_may_name_uploads_alone(values, passes):
    for value in values:
        assert names_only_uploads(call(value), FOLDER) == passes, value


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100000])
def test_what_is_no_json_does_not_pass(body):
    assert not names_only_uploads(body, FOLDER)


def exchange(method, path, body=b"", length=None, parts=1):
    """(status, headers of the response, body that the application behind got or ``None``)."""
    step = max(1, -(-len(body) // parts))
    chunks = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
    sent, got = [], []

    async def receive():
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message):
        sent.append(message)

    async def behind(scope, receive, send):
        while True:
            message = await receive()
            got.append(message["body"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    length = str(len(body)) if length is None else length
    headers = [(b"content-length", length.encode())] if length else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    with pytest.raises(StopIteration):  # a coroutine that waits for nothing
        Middleware(behind, FOLDER, 1000)(scope, receive, send).send(None)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(got) if got else None


def test_headers_of_a_response():
    status, headers, got = exchange("GET", "/")
    assert (status, got) == (200, b"")
    assert headers[b"a"] == b"b" and headers[b"x-content-type-options"] == b"nosniff"
    policy = headers[b"content-security-policy"]
    assert b"default-src 'self'" in policy and b"http" not in policy and b"*" not in policy


JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"


@pytest.mark.parametrize("path, body", [(JOIN, call({"path": PHOTO})), (UPLOAD, b"x" * 1000)])
@pytest.mark.parametrize("parts", [1, 7])
def test_what_is_allowed_passes_whole(path, body, parts):
    assert exchange("POST", path, body, parts=parts)[::2] == (200, body)


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
