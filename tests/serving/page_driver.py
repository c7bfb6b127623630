"""Start and stop a server, use the page's controls, and compute the expected boxes."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections import namedtuple

import numpy as np

from dgl.data.image_io import read_image
from dgl.data.views import demo_input
from dgl.predict.postprocess import largest_box, normalize, resize_map
from dgl.serving.json_server import JsonServer

Server = namedtuple("Server", "process url port")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
THREE = "#dgl-one .dgl-three"  # image, map and box


def start(folder, *flags, **options):
    """A server in its own process, with temporary files in ``folder``; ``command`` may be another one."""
    command = options.get("command", ["serve", "--port", "0", "--gpu", "-1"])
    process = subprocess.Popen(
        [sys.executable, "-m", "dgl.cli", *command, *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        cwd=ROOT,
        env=dict(os.environ, TMPDIR=str(folder)),
    )
    said = []
    for line in process.stdout:
        said.append(line)
        match = re.match(r"(?:page|api): (http://127\.0\.0\.1:(\d+)/)", line)
        if match:
            return Server(process, match.group(1), int(match.group(2)))
    raise AssertionError("".join(said))


def stop(server, number=signal.SIGTERM):
    """(exit code, remaining output); a server that does not end is killed."""
    server.process.send_signal(number)
    try:
        rest, _ = server.process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        kill(server)
        raise
    return server.process.returncode, rest


@contextlib.contextmanager
def json_service(handler, service, host="127.0.0.1"):
    """The port of a server in this process, which listens on this machine and believes to be ``host``."""
    with JsonServer("127.0.0.1", 0, handler, service) as server:
        server.host = host
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


def exchange(port, method, path, body=b"", headers=()):
    """(status, headers, data) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, dict(headers))
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def kill(server):
    server.process.kill()
    server.process.wait()
    server.process.stdout.close()


class Expected:
    """Maps and boxes of an image by a direct run of the predictor."""

    def __init__(self, predictor, path):
        self._predictor = predictor
        self.image = read_image(path)
        self._view = demo_input(self.image, predictor.image_size)[np.newaxis]

    def run(self, method="dgl", layer="conv5_2", class_index=None, alpha=10.0):
        """(map, probabilities of the classes)."""
        wanted = None if class_index is None else [class_index]
        found = self._predictor(self._view, wanted, entries=[(method, layer)], alpha=alpha)
        return found.maps[method, layer][0], found.probability[0]

    def box(self, threshold=0.2, **settings):
        score_map = resize_map(normalize(self.run(**settings)[0]), *self.image.shape[:2])
        return largest_box(score_map, threshold)


def numbers(text):
    return [int(v) for v in text.split()]


class Page:
    """A page of Playwright on which `dgl serve` is open, with its controls."""

    def __init__(self, page):
        self._page = page

    def __getattr__(self, name):
        return getattr(self._page, name)

    def data(self, name, selector=THREE):
        return self.get_attribute(selector, "data-" + name)

    def wait_until_other(self, name, old, selector=THREE):
        """Wait until the page shows a value other than ``old``."""
        self.wait_for_function(
            "([selector, name, old]) => {"
            " const found = document.querySelector(selector);"
            " return found && found.getAttribute('data-' + name) !== old; }",
            arg=[selector, name, old],
        )

    @contextlib.contextmanager
    def changing(self, name, selector=THREE):
        """What is done in the block changes a value that the page shows: wait at its end until it has."""
        old = self.data(name, selector)
        yield
        self.wait_until_other(name, old, selector)

    def slide(self, title, value):
        self.get_by_label("range slider for " + title, exact=True).fill(str(value))

    def choose(self, label, text):
        self.get_by_label(label, exact=True).click()
        self.get_by_role("option", name=text, exact=True).click()

    def choose_sample(self, number):
        self.click(f".dgl-samples button >> nth={number}")

    def upload(self, path):
        self.set_input_files("#dgl-upload input[type=file]", str(path))

    def check_box(self, expected, selector=THREE):
        """The box shown is the direct run's. What kernels round otherwise moves it by a pixel at most."""
        shown = numbers(self.data("box", selector))
        assert np.abs(np.subtract(shown, expected)).max() <= 1
