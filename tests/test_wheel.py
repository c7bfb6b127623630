"""The wheel in an empty environment. It installs from the network, hence `make test-wheel`."""

import glob
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from dgl.localizer import Localizer

pytestmark = [pytest.mark.wheel, pytest.mark.slow]


@pytest.fixture(scope="module")
def dgl(root, tmp_path_factory):
    """Runs the command of an environment with the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, *"-m build --wheel --no-isolation --outdir".split(), str(folder), root]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    (wheel,) = glob.glob(str(folder / "*.whl"))
    places = str(folder / "venv" / "bin")
    install = [os.path.join(places, "python"), "-I", "-m", "pip", "install", "--quiet", wheel]
    subprocess.run(install, check=True)  # -I: a checkout on PYTHONPATH would pass for installed

    def run(folder, *words):
        command = [os.path.join(places, "dgl"), *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=str(folder))

    return run


def test_an_image_is_localized_within_ten_seconds(dgl, root, tmp_path):
    image = os.path.join(root, "images", "bird_violet_fan.jpg")
    words = ("localize", image, "--out", str(tmp_path), "--json")
    dgl(root, *words)  # modules are compiled at the first run
    started = time.time()
    done = dgl(tmp_path, *words)
    seconds = time.time() - started
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    with Localizer() as localizer:
        (expected,) = localizer([image])
    assert record["class_name"] == expected.class_name
    np.testing.assert_allclose(record["box"], expected.box, atol=1)
    assert seconds < 10  # on two cores


def test_the_images_that_come_along(dgl, tmp_path):
    done = dgl(tmp_path, "localize", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 6


def test_a_missing_extra_is_named(dgl, tmp_path):
    done = dgl(tmp_path, "serve")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "dgl-localization[web]" in done.stderr
