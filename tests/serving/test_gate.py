"""Which requests reach the server behind the page."""

import json

import pytest

from dgl.serving.middleware import Gate, is_harmless, is_open

FOLDER = "/tmp/dgl-serve-x"


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/config"),
        ("GET", "/theme.css"),
        ("GET", "/assets/index-DphvyggB.js"),
        ("GET", "/static/fonts/system-ui/system-ui-Regular.woff2"),
        ("GET", "/gradio_api/queue/data"),
        ("GET", "/gradio_api/heartbeat/abc123"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/upload"),
    ],
)
def test_what_the_page_sends(method, path):
    assert is_open(method, path)


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/file/etc/passwd"),
        ("GET", "/file=/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:22/"),
        ("GET", "/assets/../../etc/passwd"),
        ("GET", "/assets//etc/passwd"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/gradio_api/openapi.json"),
        ("GET", "/docs"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/call/predict"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/login"),
        ("PUT", "/gradio_api/upload"),
        ("POST", "/"),
    ],
)
def test_everything_else_is_not_there(method, path):
    assert not is_open(method, path)


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
    assert is_harmless(call(value), FOLDER)


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
    assert not is_harmless(call(value), FOLDER)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100000])
def test_what_is_no_json_does_not_pass(body):
    assert not is_harmless(body, FOLDER)


def finish(coroutine):
    """Run a coroutine that waits for nothing."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def exchange(method, path, body=b"", headers=(), most_bytes=1000, parts=1):
    """(status, answer's headers, what the application behind got or ``None``)."""
    step = max(1, -(-len(body) // parts))
    chunks = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
    incoming = [
        {"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]}
        for chunk in chunks
    ]
    sent, got = [], []

    async def receive():
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    async def behind(scope, receive, send):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                got.append(None)
                return
            got.append(message["body"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    finish(Gate(behind, FOLDER, most_bytes)(scope, receive, send))
    if not sent:
        return None, None, got
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(got) if got else None


def test_a_request_passes_with_headers_against_the_outside():
    status, headers, got = exchange("GET", "/")
    assert (status, got) == (200, b"")
    assert headers[b"a"] == b"b"
    assert headers[b"x-content-type-options"] == b"nosniff"
    policy = headers[b"content-security-policy"]
    assert b"default-src 'self'" in policy and b"http" not in policy and b"*" not in policy


def test_an_address_that_is_not_there():
    status, headers, got = exchange("GET", "/gradio_api/file=/etc/passwd")
    assert (status, got) == (404, None) and b"content-security-policy" in headers


@pytest.mark.parametrize("parts", [1, 7])
def test_a_call_passes_whole(parts):
    body = call({"path": FOLDER + "/0a/photo.png"})
    assert exchange("POST", "/gradio_api/queue/join", body, parts=parts)[::2] == (200, body)


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/queue/join/"])
def test_a_call_for_another_file_is_refused(path):
    assert exchange("POST", path, call({"path": "/etc/passwd"}))[::2] == (403, None)


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/cancel"])
def test_a_long_call_is_refused(path):
    assert exchange("POST", path, b"[" + b" " * (1 << 20), parts=9)[::2] == (413, None)


def test_an_upload_is_refused_by_what_it_declares():
    length = [(b"content-length", b"1000000")]
    assert exchange("POST", "/gradio_api/upload", b"", length)[::2] == (413, None)


def test_an_upload_that_declares_nothing_breaks_off():
    status, _, got = exchange("POST", "/gradio_api/upload", b"x" * 100000, parts=10)
    assert status is None and got[-1] is None and sum(len(part or b"") for part in got) <= 66536
    assert exchange("POST", "/gradio_api/upload", b"x" * 1000, parts=3)[0] == 200
