"""Requests to `dgl review`: what the page asks for, and what other websites may not."""

import io

import pytest
from made_labels import make_store
from PIL import Image

from dgl.labeling.review import Review
from dgl.serving.review import make_app

pytest.importorskip("starlette")
testclient = pytest.importorskip("starlette.testclient")

pytestmark = pytest.mark.browser  # `make test-browser` has what the page needs


@pytest.fixture
def review(tmp_path):
    with Review(make_store(tmp_path)[0]) as review:
        yield review


@pytest.fixture
def client(review):
    with testclient.TestClient(make_app(review), "http://127.0.0.1:7861") as client:
        yield client


def decision(review, **changes):
    return {"store": review.token, "revision": 0, "action": "reject", "objects": [], **changes}


def test_the_page_and_its_parts(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for part in ("/review.css", "/review.js", "/review_boxes.js", "/review_classes.js"):
        assert part in page.text or part in client.get("/review.js").text.replace("./", "/")
        assert client.get(part).status_code == 200
    assert client.get("/api/start").json()["progress"]["all"] == 4
    for path in ("/review.py", "/../pyproject.toml", "/images/../a", "/images/x.jpg", "/docs"):
        assert client.get(path).status_code == 404


def test_images_are_upright_and_small(client, review, tmp_path):
    paths = {review.image(n)["image"]: f"/images/{n}.jpg" for n in range(4)}
    response = client.get(paths["sub/turned.jpg"])
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (30, 80)
    large = tmp_path / "data" / "a.jpg"
    Image.new("RGB", (3200, 40)).save(str(large))  # another file, at the same place
    assert Image.open(io.BytesIO(client.get(paths["a.jpg"]).content)).size == (1600, 20)
    large.unlink()
    for path in (paths["a.jpg"], "/images/99.jpg"):
        assert client.get(path).status_code == 404


def test_decide_and_conflict(client, review):
    answer = client.post("/api/images/1", json=decision(review))
    assert answer.json()["image"]["status"] == "rejected"
    assert answer.json()["progress"]["reviewed"] == 1
    again = client.post("/api/images/1", json=decision(review))
    assert again.status_code == 409
    assert again.json()["image"] == client.get("/api/images/1").json()
    assert client.post("/api/images/1", json=decision(review, store="other")).status_code == 409
    undone = client.post("/api/images/1", json=decision(review, revision=1, restore=0))
    assert undone.json()["image"]["status"] is None


@pytest.mark.parametrize(
    "changes",
    [{"action": "drop"}, {"objects": 3}, {"objects": [3]}, {"objects": None}, {"restore": [1]}],
)
def test_wrong_decisions(client, review, changes):
    answer = client.post("/api/images/1", json=decision(review, **changes))
    assert answer.status_code == 400 and answer.json()["error"]
    assert review.progress()["reviewed"] == 0


def test_what_is_not_json(client):
    headers = {"content-type": "application/json"}
    for body in (b"", b"[1]", b"{", b"\xff", b"[" * 100000):
        assert client.post("/api/images/1", content=body, headers=headers).status_code == 400
    assert client.get("/api/queue?show=none").status_code == 400
    assert client.get("/api/queue?class=a").status_code == 400


@pytest.mark.parametrize(
    "headers, code",
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:7861"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-length": "9999999"}, 413),
        ({"origin": "http://127.0.0.1:7861"}, 200),
        ({"host": "localhost:7861", "origin": "http://localhost:7861"}, 200),
        ({"host": "[::1]:7861"}, 200),
    ],
)
def test_other_websites_cannot_decide(client, review, headers, code):
    sent = dict({"content-type": "application/json"}, **headers)
    answer = client.post("/api/images/1", json=decision(review), headers=sent)
    assert answer.status_code == code
    assert review.progress()["reviewed"] == (code == 200)


def test_under_another_address_any_name_does(review):
    with testclient.TestClient(make_app(review, is_open=True), "http://box.local:80") as client:
        assert client.get("/api/start").status_code == 200
