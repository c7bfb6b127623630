"""Start and stop a server, use the page's controls, and compute the expected boxes."""

import io
import os
import re
import signal
import subprocess
import sys
from collections import namedtuple

import numpy as np

from dgl.data.image_io import read_image
from dgl.data.views import demo_input
from dgl.predict.postprocess import largest_box, normalize, resize_map

Server = namedtuple("Server", "process url folder")


def start(folder, *flags, **options):
    """A server in its own process, with temporary files in ``folder``; ``command`` may be another one."""
    given = options.get("command", ["serve", "--port", "0", "--gpu", "-1"])
    command = [sys.executable, "-m", "dgl.cli", *given]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    process = subprocess.Popen(
        command + [str(flag) for flag in flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        cwd=root,
        env=dict(os.environ, TMPDIR=str(folder)),
    )
    said = []
    for line in process.stdout:
        said.append(line)
        match = re.match(r"page: (http://127\.0\.0\.1:\d+/)", line)
        if match:
            return Server(process, match.group(1), str(folder))
    raise AssertionError("".join(said))


def stop(server, number=signal.SIGTERM):
    """(exit code, remaining output); a server that does not end is killed."""
    server.process.send_signal(number)
    try:
        rest, _ = server.process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise
    return server.process.returncode, rest


class Expected:
    """Maps and boxes of an image by a direct run of the predictor."""

    def __init__(self, predictor, path):
        self._predictor = predictor
        self.image = read_image(path)
        self._view = demo_input(self.image, predictor.image_size)[np.newaxis]

    def run(self, method="dgl", layer="conv5_2", class_index=None, alpha=10.0):
        wanted = None if class_index is None else [class_index]
        return self._predictor(self._view, wanted, entries=[(method, layer)], alpha=alpha)

    def map(self, method="dgl", layer="conv5_2", class_index=None, alpha=10.0):
        return self.run(method, layer, class_index, alpha).maps[method, layer][0]

    def box(self, threshold=0.2, **settings):
        score_map = resize_map(normalize(self.map(**settings)), *self.image.shape[:2])
        return largest_box(score_map, threshold)


def data(page, name, selector="#dgl-one .dgl-three"):
    return page.get_attribute(selector, "data-" + name)


def numbers(text):
    return [int(v) for v in text.split()]


def wait_until_other(page, name, old, selector="#dgl-one .dgl-three"):
    """Wait until the page shows a value other than ``old``, and return it."""
    page.wait_for_function(
        "([selector, name, old]) => {"
        " const found = document.querySelector(selector);"
        " return found && found.getAttribute('data-' + name) !== old; }",
        arg=[selector, name, old],
    )
    return data(page, name, selector)


def slide(page, title, value):
    page.get_by_label("range slider for " + title, exact=True).fill(str(value))


def choose(page, label, text):
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=text, exact=True).click()


def upload(page, *paths):
    page.set_input_files("#dgl-upload input[type=file]", list(paths))


def check_box(page, expected, selector="#dgl-one .dgl-three"):
    """The box shown is the direct run's. What kernels round otherwise moves it by a pixel at most."""
    assert np.abs(np.subtract(numbers(data(page, "box", selector)), expected)).max() <= 1


def png(image):
    """The bytes of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
