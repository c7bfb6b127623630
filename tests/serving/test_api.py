"""`dgl serve --api`: what it answers, that requests share runs, and how it refuses and ends."""

import concurrent.futures
import contextlib
import http.client
import io
import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from page_driver import exchange, json_service, kill, start, stop
from PIL import Image
from sample_images import blob_image

from dgl.cli.parser import main
from dgl.data.class_names import ClassNames
from dgl.errors import UserError
from dgl.predict.session import Prediction
from dgl.serving.api import Api, ApiHandler, ApiSettings, Batcher
from dgl.serving.sessions import Limits

ENTRY = ("dgl", "layer")


class Fake:
    """The class is the image's mean red, by tens; its map is bright in the right half."""

    class_names = ClassNames([f"name {i}" for i in range(26)])
    image_size, backbone = 32, SimpleNamespace(mode="fake")

    def __init__(self, is_waiting=False):
        self.sizes, self.go = [], threading.Event()
        if not is_waiting:
            self.go.set()

    def __call__(self, views, classes, entries):
        self.go.wait(20)
        self.sizes.append(len(views))
        best = (views[..., 2].mean(axis=(1, 2)) / 10).round().astype(int)
        if (best == 25).any() and len(best) > 1:
            raise RuntimeError("a batch that fails")
        logits = np.eye(26, dtype="float32")[best] * 9
        maps = np.zeros((len(views), 4, 4), "float32")
        maps[:, :, 2:] = 1
        chosen = best if classes is None else np.asarray(classes)
        failed = tuple((i, "not finite") for i in np.flatnonzero(best == 24))
        return Prediction(chosen, logits / 9, logits, {entries[0]: maps}, failed)


def png(red, width=80, height=40):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@contextlib.contextmanager
def running(fake, **settings):
    """The port of a server with a fake network."""
    api = Api(fake, ENTRY, ApiSettings(**settings))
    with json_service(ApiHandler, api) as port:
        yield port
    api.batcher.close()


def ask(port, body=b"", path="/", method="POST", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, data = exchange(port, method, path, body, headers)
    return status, json.loads(data)


def test_an_answer():
    with running(Fake()) as port:
        status, found = ask(port, png(30))
        assert status == 200, found
        assert found == {
            "width": 80, "height": 40, "mode": "fake", "method": "dgl", "layer": "layer", "class_index": 3,
            "class_name": "name 3", "probability": 1.0, "predicted_index": 3, "box": found["box"],
            "threshold": 0.2,
        }  # fmt: skip
        x0, y0, x1, y1 = found["box"]
        assert 25 < x0 < 45 and (y0, x1, y1) == (0, 79, 39)
        status, other = ask(port, png(30), "/localize?class=name+7&threshold=0.9")
        assert (other["class_index"], other["predicted_index"]) == (7, 3) and other["box"][0] > x0
        assert ask(port, method="GET")[1]["classes"] == 26


def answers_at_once(fake, reds, **settings):
    with running(fake, **settings) as port, concurrent.futures.ThreadPoolExecutor(
        len(reds)
    ) as pool:
        futures = [pool.submit(ask, port, png(red)) for red in reds]
        threading.Timer(0.5, fake.go.set).start()
        return [future.result() for future in futures]


def test_requests_share_runs_and_get_their_own_answers():
    fake = Fake(is_waiting=True)
    found = answers_at_once(fake, range(0, 90, 10), batch=4)
    assert [answer["class_index"] for _, answer in found] == list(range(9))
    assert sum(fake.sizes) == 9 and len(fake.sizes) <= 4 and max(fake.sizes) <= 4


def test_more_than_may_wait_are_refused_at_once():
    fake = Fake(is_waiting=True)
    with running(fake, most_waiting=3) as port, concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(ask, port, png(10)) for _ in range(8)]
        early = []
        for future in concurrent.futures.as_completed(futures, 20):
            early.append(future.result()[0])
            if len(early) == 5:
                fake.go.set()
    assert early == [429] * 5 + [200] * 3


def test_one_image_that_fails_does_not_take_others_with_it():
    found = answers_at_once(Fake(is_waiting=True), (10, 240, 250, 20), batch=8)
    assert [status for status, _ in found] == [200, 400, 200, 200]
    assert found[1][1] == {"error": "not finite"}


@pytest.mark.parametrize(
    "body, path, headers, status, words",
    [
        (b"", "/", {}, 400, "image"),
        (png(9)[:60], "/", {}, 400, "damaged"),
        (png(9), "/?class=zebra", {}, 400, "no such class"),
        (png(9), "/?threshold=7", {}, 400, "threshold 7: expected"),
        (png(9), "/?treshold=0.5", {}, 400, "'treshold': expected the parameters class and"),
        (b"{}", "/", {"Content_Type": "application/json"}, 400, "--data-binary"),
        (png(9, 2000, 1000), "/", {}, 400, "2000 x 1000 pixels; expected at most 1 megapixels"),
        (b"x" * 200000, "/", {}, 413, "0.2 MB; expected at most 0.1 MB"),
        (png(9), "/else", {}, 404, "expected POST"),
        (png(9), "/", {"Origin": "http://a.org"}, 403, "expected a request of a program"),
        (png(9), "/", {"Host": "a.org"}, 403, "expected a request to the address"),
        (png(9), "/", {"Content_Length": "many"}, 411, "Content-Length"),
    ],
)
def test_what_is_refused(body, path, headers, status, words):
    with running(Fake(), limits=Limits(100000, 1000000)) as port:
        found = ask(port, body, path, **headers)
        assert found[0] == status and words in found[1]["error"], found
        assert ask(port, png(30))[0] == 200


def test_what_waits_when_the_server_ends_gets_an_error():
    fake = Fake(is_waiting=True)
    batcher = Batcher(fake, ENTRY, 1)
    view = np.zeros((32, 32, 3), np.float32)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(batcher, view, None) for _ in range(3)]
        threading.Timer(0.2, fake.go.set).start()
        batcher.close()
        ended = [future.exception(20) for future in futures]
    assert all(error is None or isinstance(error, UserError) for error in ended)
    with pytest.raises(UserError, match="the server ends"):
        batcher(view, None)


@contextlib.contextmanager
def command_of_server(port, folder, *flags):
    """`dgl serve --api` in its own process once it listens."""
    server = start(folder, command=["serve", "--api", "--port", port, *flags])
    try:
        yield server
    finally:
        kill(server)


def check_answers_as_localize(port, flags, folder, capsys):
    path = folder / "a.png"
    Image.fromarray(blob_image(1, 90, 120)).save(str(path))
    words = [str(path), *flags, "--fast", "--json", "--out", str(folder / "out")]
    assert main(["localize", *words]) == 0
    expected = json.loads(capsys.readouterr().out)
    status, answer = ask(port, path.read_bytes())
    assert status == 200
    assert answer.pop("probability") == pytest.approx(expected["probability"], rel=1e-4)
    assert answer.items() <= expected.items()


@pytest.mark.slow
def test_clients_of_a_server_that_is_killed_get_errors_and_go_on_with_the_next(
    small_vgg, tmp_path, capsys
):
    """Every image is answered once the client asks again. The next server answers as `dgl localize` does,
    and ends in order when it is asked to."""
    flags = ["--load", small_vgg, "--gpu=-1", "--layer", "conv5_3"]
    images = [png(red) for red in range(0, 250, 10)]
    errors, seconds, enough = [], [], threading.Event()

    def client(number):
        answers = []
        while len(answers) < len(images):
            started = time.time()
            try:
                status, answer = ask(port, images[len(answers)])
                assert status == 200, answer
                answers.append(answer["predicted_index"])
                if number == 0 and len(answers) == 5:
                    enough.set()
            except (OSError, http.client.HTTPException) as error:
                errors.append(error)
                time.sleep(0.1)
            seconds.append(time.time() - started)
        return answers

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        with command_of_server("0", tmp_path, *flags) as server:
            port = server.port
            futures = [pool.submit(client, number) for number in range(4)]
            assert enough.wait(20)
        with command_of_server(str(port), tmp_path, *flags) as server:
            answers = [future.result(60) for future in futures]
            check_answers_as_localize(port, flags, tmp_path, capsys)
            assert stop(server)[0] == 143
            with pytest.raises(OSError):
                ask(port, png(9))
    assert errors and max(seconds) < 10
    assert all(own == answers[0] and len(own) == len(images) for own in answers)
