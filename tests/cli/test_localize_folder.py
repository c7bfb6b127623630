"""`dgl localize` on folders: batches, images that cannot be read, resuming, results in one file."""

import json
import os
import shutil
import sys
import threading

import numpy as np
import pytest
from cli_runs import dgl
from demo_runs import CLASSES, SIZE, demo, files_in, record_of, small_image
from networks import vgg_variables, write_npz
from PIL import Image
from trees import contents

from dgl.predict.postprocess import normalize
from dgl.predict.predictor import Predictor
from dgl.report.localize_files import folder_names
from dgl.tf_compat import tf

pytestmark = pytest.mark.usefixtures("graphs_once")

# On CPUs with AVX-512 TensorFlow 1.15 adds in another order for one image than for several, 1e-7 of a
# value: files that must be equal to the byte are computed image by image there.
SAME_BYTES = ("--batch", "1") if tf.VERSION.startswith("1.") else ()


def localize(*words):
    done = dgl("localize", *words + ("--gpu=-1",))
    assert done.code == 0, done.err
    return done


def results_of(folder):
    with open(os.path.join(str(folder), "results.jsonl"), encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def lines_of(capsys):
    """The lines on standard output since the last call: one for each image that was localized."""
    return capsys.readouterr().out.splitlines()


def touch_later(path):
    os.utime(str(path), (path.stat().st_mtime + 3600,) * 2)


def write_images(folder, *names):
    """Small images, which differ."""
    folder.mkdir()
    for seed, name in enumerate(names):
        Image.fromarray(small_image(seed + 1)).save(str(folder / name))


def test_images_and_folders_of_several_places(vgg, photos, tmp_path):
    other, out = tmp_path / "other", tmp_path / "out"
    other.mkdir()
    shutil.copy(os.path.join(photos, "val3.jpg"), str(other / "val1.jpg"))
    one = os.path.join(photos, "val1.jpg")
    words = ("--data_path", other / "val1.jpg", "--load", vgg, "--out", out)
    localize(one, other, one, *words + SAME_BYTES)
    assert files_in(out) == ["results.jsonl", "val1", "val1-2"]
    alone = tmp_path / "alone"
    localize(other / "val1.jpg", "--load", vgg, "--out", alone)
    assert contents(alone) == contents(out / "val1-2")


def test_records_without_drawings(vgg, photos, tmp_path):
    drawn, plain = tmp_path / "drawn", tmp_path / "plain"
    flags = ("--out", plain, "--no-drawings")
    for more in (("--out", drawn), flags, (*flags, "--resume")):
        done = localize(photos, "--load", vgg, *more)
    assert "resuming" in done.err
    assert results_of(plain) == results_of(drawn)
    undrawn = {name: text for name, text in contents(drawn).items() if name[-4:] != ".png"}
    assert contents(plain) == undrawn


def test_a_folder_has_a_folder_and_a_line_for_each_image_in_order(vgg, seven, tmp_path, capsys):
    assert demo(vgg, seven, tmp_path, "--batch", 3) == 0
    stems = [f"p{i}" for i in range(7)]
    assert files_in(tmp_path) == [*stems, "results.jsonl"]
    assert [len(files_in(tmp_path / stem)) for stem in stems] == [4] * 7
    records, paths = results_of(tmp_path), [str(seven / (stem + ".png")) for stem in stems]
    assert records == [record_of(tmp_path / stem) for stem in stems]
    assert [record["image"] for record in records] == paths
    printed = capsys.readouterr()
    assert [line.split("  ")[0] for line in printed.out.splitlines()] == paths
    # The progress bar is not on standard output.
    assert "7/7" in printed.err and "images/s" in printed.err and "7/7" not in printed.out


def test_the_batch_changes_only_rounding(vgg, seven, tmp_path):
    flags = ["--save-maps", "--class", 2]
    demo(vgg, seven, tmp_path / "one", "--batch", 1, "--workers", 1, *flags)
    demo(vgg, seven, tmp_path / "many", "--batch", 3, "--workers", 4, *flags)
    for one, many in zip(results_of(tmp_path / "one"), results_of(tmp_path / "many")):
        assert one.pop("probability") == pytest.approx(many.pop("probability"), abs=1e-6)
        # An edge of a box is a pixel further where a map's value is that close to the threshold.
        np.testing.assert_allclose(one.pop("box"), many.pop("box"), atol=1)
        assert one == many
    for name in ("vgg_cam", "vgg_conv5_2_dgl"):
        for stem in ("p0", "p3", "p6"):
            one, many = (tmp_path / run / stem / name for run in ("one", "many"))
            maps = [normalize(np.load(str(path) + ".npy")) for path in (one, many)]
            np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)
            drawn = [np.asarray(Image.open(str(path) + ".png")).astype(int) for path in (one, many)]
            # One level of heat moves a channel of JET by 4 at most.
            np.testing.assert_allclose(drawn[0], drawn[1], atol=4)


# Change -> the flags of the second run or what happens to p1's files before it; how many are repeated.
CHANGES = {
    "nothing": ([], 0),
    "class": (["--class", 2], 7),
    "threshold": (["--threshold", 0.5], 7),
    "method": (["--method", "cam"], 7),
    "image size": (["--image_size", 96], 7),
    "kernels": (["--fast"], 7),
    "file of another run": (lambda folder: touch_later(folder / "vgg_cam.png"), 1),
    "no overlay": (lambda folder: (folder / "vgg_cam.png").unlink(), 1),
    "no folder": (shutil.rmtree, 1),
    "no record": (lambda folder: (folder / "vgg_conv5_2_dgl.json").unlink(), 1),
    "half a record": (lambda folder: (folder / "vgg_conv5_2_dgl.json").write_text('{"image":'), 1),
}


@pytest.fixture(scope="module")
def done(vgg, seven, tmp_path_factory):
    """The output folder of the seven images."""
    out = tmp_path_factory.mktemp("done")
    demo(vgg, seven, out)
    return out


@pytest.mark.parametrize("change, repeated", CHANGES.values(), ids=list(CHANGES))
def test_resume_takes_only_what_the_same_flags_made(
    vgg, seven, done, tmp_path, capsys, change, repeated
):
    out = tmp_path / "out"
    shutil.copytree(str(done), str(out))  # with the times of writing
    (out / "results.jsonl").unlink()
    if callable(change):
        change(out / "p1")
        change = []
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*")}
    assert demo(vgg, seven, out, "--resume", *change) == 0
    changed = [path for path in out.glob("*/*") if before.get(path) != path.stat().st_mtime_ns]
    assert len({path.parent for path in changed}) == len(lines_of(capsys)) == repeated
    assert len(results_of(out)) == 7


def test_resume_keeps_images_localized_for_the_class(vgg, seven, done, tmp_path, capsys):
    best = [record["predicted_index"] for record in results_of(done)]
    assert 0 < best.count(0) < 7
    shutil.copytree(str(done), str(tmp_path / "out"))
    demo(vgg, seven, tmp_path / "out", "--resume", "--class", 0)
    assert len(lines_of(capsys)) == 7 - best.count(0)
    assert [record["class_index"] for record in results_of(tmp_path / "out")] == [0] * 7


def test_resume_repeats_a_changed_image_and_all_with_other_weights(vgg, tmp_path, capsys):
    images, out, path = tmp_path / "in", tmp_path / "out", str(tmp_path / "birds.npz")
    write_images(images, "a.png", "b.png")
    shutil.copy(vgg, path)

    def lines_of_resumed():
        lines_of(capsys)
        demo(path, images, out, "--resume", "--image_size", SIZE)
        return lines_of(capsys)

    assert len(lines_of_resumed()) == 2
    touch_later(images / "b.png")
    (line,) = lines_of_resumed()
    assert line.startswith(str(images / "b.png"))
    values = vgg_variables(CLASSES)
    write_npz(path, dict(values, **{"linear/b": values["linear/b"] + np.float32(0.1)}))
    assert len(lines_of_resumed()) == 2


def test_an_interrupted_run_ends_its_threads_and_can_be_resumed(vgg, seven, tmp_path, monkeypatch):
    out, calls = tmp_path / "out", []
    real = Predictor.__call__

    def interrupted(self, images, class_index=None):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, images, class_index)

    before = threading.enumerate()
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            demo(vgg, seven, out, "--batch", 2, "--workers", 2)
    started = [thread for thread in threading.enumerate() if thread not in before]
    assert not [thread for thread in started if "ThreadPool" in thread.name]
    assert not [name for name in contents(out) if name.endswith((".tmp", "results.jsonl"))]
    assert demo(vgg, seven, out, "--batch", 2, "--resume") == 0
    assert len(results_of(out)) == 7


@pytest.mark.skipif(sys.platform == "darwin", reason="names are Unicode there")
def test_a_name_that_is_not_unicode(vgg, tmp_path, capsys):
    write_images(tmp_path / "in", os.fsdecode(b"\xff.png"))
    assert demo(vgg, tmp_path / "in", tmp_path / "out") == 0
    assert len(lines_of(capsys)) == len(results_of(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    "names, expected",
    [
        (["a.png", "b.jpg"], ["a", "b"]),
        (["a.bmp", "a.png", "b.png"], ["a.bmp", "a.png", "b"]),
        # The folder `a.png` is that of another image, `results.jsonl` is a file.
        (["a.bmp", "a.png", "a.png.jpg"], ["a.bmp", "a.png", "a.png.jpg"]),
        (["a.png", "a.png.jpg"], ["a", "a.png"]),
        (["results.jsonl.png"], ["results.jsonl.png"]),
        # Of several folders.
        (["a/x.png", "b/x.png", "c/x.png"], ["x", "x-2", "x-3"]),
        (["a/x.png", "a/x-2.png", "b/x.png"], ["x", "x-2", "x-3"]),
        (["a/x.png", "a/x.jpg", "b/x.png"], ["x.png", "x.jpg", "x.png-2"]),
    ],
)
def test_folder_names(names, expected):
    assert folder_names(["in/" + name for name in names]) == expected
