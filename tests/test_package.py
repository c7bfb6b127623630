"""What is packaged: every room, the extras, one version everywhere, a wheel and an sdist."""

import glob
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

import dgl
from dgl.datasets import SHIPPED_CHECKPOINT

tomllib = pytest.importorskip("tomllib")  # Python 3.11


def read(root, *names):
    with open(os.path.join(root, *names), encoding="utf-8") as stream:
        return stream.read()


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads(read(root, "pyproject.toml"))


def requirements(root, name):
    """The lines of a requirements file, those that include others left out."""
    lines = [line.split("#")[0].strip() for line in read(root, "requirements", name).splitlines()]
    return {line for line in lines if line and not line.startswith("-r")}


@pytest.mark.parametrize("name", ["web", "horovod", "ray"])
def test_an_extra_is_what_its_requirements_file_says(root, project, name):
    extras = project["project"]["optional-dependencies"]
    extra = {line.split(";")[0].strip() for line in extras[name]}
    listed = requirements(root, name + ".txt")
    bare = {re.split(r"[<>=]", line)[0] for line in listed}
    for line in extra:
        wanted = re.split(r"[<>=]", line)[0]
        # A checkout has the build for the CPU, and pins what it is tested with.
        assert wanted in bare or wanted + "-cpu" in bare, line


def test_the_extra_for_development_is_the_requirements_file(root, project):
    assert set(project["project"]["optional-dependencies"]["dev"]) == requirements(root, "dev.txt")


def test_one_version(root):
    assert f"version: {dgl.__version__}\n" in read(root, "CITATION.cff")
    newest = re.search(r"^## (\d\S+)", read(root, "CHANGELOG.md"), re.MULTILINE).group(1)
    assert newest == dgl.__version__


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """The folder with the sdist and the wheel that is made of it."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), root],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return out


@pytest.mark.slow
def test_the_wheel_has_all_that_runs_and_nothing_else(root, built):
    (path,) = glob.glob(os.path.join(str(built), "*.whl"))
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        entry = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    tracked = set()
    for parent, _, files in os.walk(os.path.join(root, "dgl")):
        tracked.update(
            os.path.relpath(os.path.join(parent, name), root).replace(os.sep, "/")
            for name in files
            if not parent.endswith("__pycache__")
        )
    samples = {"dgl/samples/" + name for name in os.listdir(os.path.join(root, "images"))}
    assert {name for name in names if ".dist-info/" not in name} == tracked | samples
    assert "dgl = dgl.cli:entry" in entry
    assert "dgl/py.typed" in names
    assert "dgl/pretrained/" + os.path.basename(SHIPPED_CHECKPOINT) in names
    assert any(name.endswith("LICENSE") for name in names)


@pytest.mark.slow
def test_the_sdist_builds_the_wheel_and_has_the_scripts(built):
    (path,) = glob.glob(os.path.join(str(built), "*.tar.gz"))
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for wanted in ("run_train.sh", "train_code/dgl_vgg.py", "test_code/dome_image_DGL.py"):
        assert wanted in names
    assert {"LICENSE", "CHANGELOG.md", "CITATION.cff", "README.md", "pyproject.toml"} <= names
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("tests/")]
