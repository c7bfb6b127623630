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
from networks import values_of, write_npz
from PIL import Image
from trees import contents

from dgl.errors import UserError
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


def write_images(folder, *names):
    """Small images, which differ."""
    folder.mkdir()
    for seed, name in enumerate(names):
        Image.fromarray(small_image(seed + 1)).save(str(folder / name))


def test_images_and_folders_of_several_places(tiny, photos, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(os.path.join(photos, "val3.jpg"), str(other / "val1.jpg"))
    one = os.path.join(photos, "val1.jpg")
    out = tmp_path / "out"
    words = ("--data_path", other / "val1.jpg", "--load", tiny, "--out", out)
    localize(one, other, one, *words + SAME_BYTES)
    assert files_in(out) == ["results.jsonl", "val1", "val1-2"]
    alone = tmp_path / "alone"
    localize(other / "val1.jpg", "--load", tiny, "--out", alone)
    assert contents(alone) == contents(out / "val1-2")


def test_files_of_other_formats_are_named_once_at_the_end(tiny, photos, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(photos, str(folder))
    for name in ("a.svg", "b.SVG", "notes.txt"):
        (folder / name).write_text("x")
    done = localize(folder, "--load", tiny, "--out", tmp_path / "out")
    (line,) = [line for line in done.err.splitlines() if "left out" in line]
    assert line.startswith("2 files left out") and "2 .svg" in line
    assert done.err.rstrip().endswith(line)


def test_records_without_drawings(tiny, photos, tmp_path):
    for out, more in (
        ("drawn", ()),
        ("plain", ("--no-drawings",)),
        ("plain", ("--no-drawings", "--resume")),
    ):
        done = localize(photos, "--load", tiny, "--out", tmp_path / out, *more)
    assert "resuming" in done.err
    assert results_of(tmp_path / "plain") == results_of(tmp_path / "drawn")
    drawn = {
        name: text for name, text in contents(tmp_path / "drawn").items() if name[-4:] != ".png"
    }
    assert contents(tmp_path / "plain") == drawn


def test_folder_of_images(vgg, tmp_path, capsys):
    images, out = tmp_path / "in", tmp_path / "out"
    write_images(images, "one.png", "two.bmp")
    (images / "notes.txt").write_text("not an image")
    assert demo(vgg, images, out) == 0
    assert files_in(out) == ["one", "results.jsonl", "two"]
    for stem, name in (("one", "one.png"), ("two", "two.bmp")):
        assert len(files_in(out / stem)) == 4
        assert record_of(out / stem)["image"] == str(images / name)
    printed = capsys.readouterr()
    assert [line.split("  ")[0] for line in printed.out.splitlines()] == [
        str(images / name) for name in ("one.png", "two.bmp")
    ]
    # The progress bar is not on standard output.
    assert "2/2" in printed.err and "images/s" in printed.err
    assert "2/2" not in printed.out
    # The same as alone, apart from the rounding of a probability.
    demo(vgg, images / "two.bmp", tmp_path / "alone")
    alone, among = record_of(tmp_path / "alone"), record_of(out / "two")
    assert alone.pop("probability") == pytest.approx(among.pop("probability"), abs=1e-6)
    assert alone == among


def test_results_of_a_folder_are_in_one_file_in_the_order_of_the_images(vgg, seven, tmp_path):
    demo(vgg, seven, tmp_path, "--batch", 3)
    records = results_of(tmp_path)
    assert [r["image"] for r in records] == [str(seven / f"p{i}.png") for i in range(7)]
    assert records == [record_of(tmp_path / f"p{i}") for i in range(7)]


@pytest.mark.parametrize("batch, workers", [(3, 4), (100, 1)])
def test_the_batch_changes_only_rounding(vgg, seven, tmp_path, batch, workers):
    flags = ["--save-maps", "--class", 2]
    demo(vgg, seven, tmp_path / "one", "--batch", 1, *flags)
    demo(vgg, seven, tmp_path / "many", "--batch", batch, "--workers", workers, *flags)
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


def test_unreadable_images_of_a_folder_are_left_out(vgg, seven, tmp_path, capsys):
    images, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(str(seven), str(images))
    for name in ("p2.png", "p5.png"):
        (images / name).write_bytes(b"no image")
    assert demo(vgg, images, out, "--batch", 3) == 1
    kept = ["p0", "p1", "p3", "p4", "p6"]
    assert files_in(out) == kept + ["results.jsonl"]
    assert [os.path.basename(r["image"])[:2] for r in results_of(out)] == kept
    printed = capsys.readouterr()
    lines = [line for line in printed.err.replace("\r", "\n").splitlines() if ".png" in line]
    assert len(lines) == 3 and len(printed.out.splitlines()) == 5
    for line, name in zip(lines, ("p2.png", "p5.png", "p2.png")):
        assert str(images / name) in line and "not an image" in line
    assert lines[0].startswith("skipped: ")
    assert lines[2].startswith("2 of 7 images could not be read; the first: ")


def _stamps(folder):
    """File -> time of writing, of all the images' files."""
    return {
        os.path.join(stem, name): os.stat(os.path.join(str(folder), stem, name)).st_mtime_ns
        for stem in files_in(folder)
        if stem != "results.jsonl"
        for name in files_in(os.path.join(str(folder), stem))
    }


def test_resume_writes_only_what_is_missing(vgg, seven, tmp_path, capsys):
    demo(vgg, seven, tmp_path / "whole", "--batch", 1)
    out = tmp_path / "out"
    demo(vgg, seven, out, "--batch", 1)
    # As an interrupted run leaves it: one image without its record, one missing.
    os.remove(str(out / "p2" / "vgg_conv5_2_dgl.json"))
    shutil.rmtree(str(out / "p5"))
    os.remove(str(out / "results.jsonl"))
    before = _stamps(out)
    capsys.readouterr()
    assert demo(vgg, seven, out, "--batch", 1, "--resume") == 0
    after, printed = _stamps(out), capsys.readouterr()
    changed = {os.path.dirname(name) for name in after if before.get(name) != after[name]}
    assert changed == {"p2", "p5"}
    assert len(printed.out.splitlines()) == 2
    assert "resuming after 5 of 7 images" in printed.err
    assert results_of(out) == results_of(tmp_path / "whole")
    # Without the flag all are repeated.
    demo(vgg, seven, out)
    assert not set(_stamps(out).values()) & set(after.values())


def _touch_later(path):
    stamp = os.stat(str(path)).st_mtime + 3600
    os.utime(str(path), (stamp, stamp))


# Change -> the flags of the second run, and what happens to p1's files before it.
CHANGES = {
    "nothing": ([], None),
    "class": (["--class", 2], None),
    "threshold": (["--threshold", 0.5], None),
    "method": (["--method", "cam"], None),
    "image size": (["--image_size", 96], None),
    "kernels": (["--fast"], None),
    "file of another run": ([], lambda folder: _touch_later(folder / "vgg_cam.png")),
    "no overlay": ([], lambda folder: os.remove(str(folder / "vgg_cam.png"))),
    "half a record": ([], lambda folder: (folder / "vgg_conv5_2_dgl.json").write_text('{"image":')),
}


@pytest.fixture(scope="module")
def done(vgg, seven, tmp_path_factory):
    """The output folder of the seven images."""
    out = tmp_path_factory.mktemp("done")
    demo(vgg, seven, out)
    return out


@pytest.mark.parametrize("change", CHANGES)
def test_resume_takes_only_what_the_same_flags_made(vgg, seven, done, tmp_path, capsys, change):
    flags, disturb = CHANGES[change]
    out = tmp_path / "out"
    shutil.copytree(str(done), str(out))  # with the times of writing
    if disturb is not None:
        disturb(out / "p1")
    assert demo(vgg, seven, out, "--resume", *flags) == 0
    redone = 1 if disturb else 0 if change == "nothing" else 7
    assert len(capsys.readouterr().out.splitlines()) == redone
    assert len(results_of(out)) == 7


def test_resume_of_a_class_keeps_the_images_already_localized_for_it(
    vgg, seven, done, tmp_path, capsys
):
    best = [record["predicted_index"] for record in results_of(done)]
    assert 0 < best.count(0) < 7
    shutil.copytree(str(done), str(tmp_path / "out"))
    demo(vgg, seven, tmp_path / "out", "--resume", "--class", 0)
    assert len(capsys.readouterr().out.splitlines()) == 7 - best.count(0)
    assert [record["class_index"] for record in results_of(tmp_path / "out")] == [0] * 7


def test_resume_repeats_an_image_that_has_changed(vgg, tmp_path, capsys):
    images, out = tmp_path / "in", tmp_path / "out"
    write_images(images, "a.png", "b.png")
    demo(vgg, images, out)
    _touch_later(images / "b.png")
    capsys.readouterr()
    demo(vgg, images, out, "--resume")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(str(images / "b.png"))


def test_resume_with_other_weights_repeats_all(vgg, photo, tmp_path, capsys):
    path, out = str(tmp_path / "birds.npz"), tmp_path / "out"
    shutil.copy(vgg, path)
    folder, flags = os.path.dirname(photo), ["--image_size", SIZE]
    demo(path, folder, out, *flags)
    values = values_of("vgg", SIZE, width=0.125, classes=CLASSES)
    values["linear/b"] = values["linear/b"] + np.float32(0.1)
    write_npz(path, values)
    capsys.readouterr()
    demo(path, folder, out, "--resume", *flags)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_interrupted_run_ends_its_threads_and_can_be_resumed(vgg, seven, tmp_path, monkeypatch):
    out, calls = tmp_path / "out", []
    real = Predictor.__call__

    def interrupted(self, images, class_index=None):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, images, class_index)

    before = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            demo(vgg, seven, out, "--batch", 2, "--workers", 2)
    pool = [t for t in set(threading.enumerate()) - before if "ThreadPool" in t.name]
    assert not pool
    assert not [n for _, _, names in os.walk(str(out)) for n in names if n.endswith(".tmp")]
    assert "results.jsonl" not in files_in(out)
    assert demo(vgg, seven, out, "--batch", 2, "--resume") == 0
    assert len(results_of(out)) == 7


def test_a_class_that_there_is_not_leaves_earlier_results(vgg, seven, tmp_path):
    demo(vgg, seven, tmp_path)
    with pytest.raises(UserError):
        demo(vgg, seven, tmp_path, "--class", CLASSES)
    # A flag that is wrong from the start leaves the results of the run before.
    assert "results.jsonl" in files_in(tmp_path)


@pytest.mark.skipif(sys.platform == "darwin", reason="names are Unicode there")
def test_a_name_that_is_not_unicode(vgg, tmp_path, capsys):
    folder = os.path.join(os.fsencode(str(tmp_path)), b"in")
    os.mkdir(folder)
    Image.fromarray(small_image()).save(str(tmp_path / "a.png"))
    shutil.copy(os.fsencode(str(tmp_path / "a.png")), os.path.join(folder, b"\xff.png"))
    assert demo(vgg, tmp_path / "in", tmp_path / "out") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert len(results_of(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    "names, expected",
    [
        (["a.png"], ["a"]),
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
