"""Requests to `dgl review`: what the page asks for, and what other websites may not."""

import io
import json

import pytest
from made_labels import make_store
from page_driver import exchange, json_service
from PIL import Image

from dgl.labeling.review import Review
from dgl.serving.review import ReviewHandler


@pytest.fixture
def review(tmp_path):
    with Review(make_store(tmp_path)[0]) as review:
        yield review


@pytest.fixture
def ask(review):
    """Ask for a path, or decide on the second image: (status, data of JSON)."""
    with json_service(ReviewHandler, review) as port:

        def send(path="/api/images/1", headers=(), body=None, **changes):
            if path != "/api/images/1":
                status, _, data = exchange(port, "GET", path)
            else:
                values = {"store": review.token, "revision": 0, "action": "reject", "objects": []}
                body = json.dumps({**values, **changes}).encode() if body is None else body
                host = {"Host": "127.0.0.1:7861", "Content-Type": "application/json"}
                status, _, data = exchange(port, "POST", path, body, {**host, **dict(headers)})
            return status, json.loads(data) if data[:1] == b"{" else data

        yield send


def test_the_page_and_its_parts(ask, review):
    with json_service(ReviewHandler, review) as port:
        status, headers, page = exchange(port, "GET", "/")
    assert status == 200 and "script-src 'self'" in headers["content-security-policy"]
    script = ask("/review.js")[1].replace(b"./", b"/")
    for part in ("/review.css", "/review.js", "/review_boxes.js", "/review_classes.js"):
        assert part.encode() in page + script
        assert ask(part)[0] == 200
    assert ask("/api/start")[1]["progress"]["all"] == 4
    for path in ("/review.py", "/../pyproject.toml", "/images/../a", "/images/x.jpg", "/docs"):
        assert ask(path)[0] == 404


def test_images_are_upright_and_small(ask, review, tmp_path):
    paths = {review.image(n)["image"]: f"/images/{n}.jpg" for n in range(4)}
    assert Image.open(io.BytesIO(ask(paths["sub/turned.jpg"])[1])).size == (30, 80)
    large = tmp_path / "data" / "a.jpg"
    Image.new("RGB", (3200, 40)).save(str(large))  # another file, at the same place
    assert Image.open(io.BytesIO(ask(paths["a.jpg"])[1])).size == (1600, 20)
    large.unlink()
    for path in (paths["a.jpg"], "/images/99.jpg", "/api/images/99"):
        assert ask(path)[0] == 404


def test_decide_and_conflict(ask, review):
    status, answer = ask()
    assert status == 200 and answer["image"]["status"] == "rejected"
    assert answer["progress"]["reviewed"] == 1
    status, again = ask()
    assert status == 409 and again["image"] == json.loads(json.dumps(review.image(1)))
    assert ask(store="other")[0] == 409
    assert ask(revision=1, restore=0)[1]["image"]["status"] is None


def test_wrong_decisions_and_questions(ask, review):
    objects = [{"objects": value} for value in (3, [3], None)]
    bodies = [{"body": text} for text in (b"", b"[1]", b"{", b"\xff", b"[" * 100000)]
    for changes in (*objects, *bodies, {"action": "drop"}, {"restore": [1]}):
        status, answer = ask(**changes)
        assert status == 400 and answer["error"], changes
    assert review.progress()["reviewed"] == 0
    assert ask("/api/queue?show=none")[0] == ask("/api/queue?class=a")[0] == 400
    assert ask("/api/queue?show=all&class=0&text=a")[0] == 200


@pytest.mark.parametrize(
    "headers, code",
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:7861"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Length": "9999999"}, 413),
        ({"Origin": "http://127.0.0.1:7861"}, 200),
        ({"Host": "localhost:7861", "Origin": "http://localhost:7861"}, 200),
        ({"Host": "[::1]:7861"}, 200),
    ],
)
def test_other_websites_cannot_decide(ask, review, headers, code):
    assert ask(headers=headers)[0] == code
    assert review.progress()["reviewed"] == (code == 200)


@pytest.mark.parametrize("host, code", [("0.0.0.0", 200), ("127.0.0.1", 403)])
def test_under_another_address_any_name_does(review, host, code):
    with json_service(ReviewHandler, review, host) as port:
        assert exchange(port, "GET", "/api/start", headers={"Host": "box.local"})[0] == code
