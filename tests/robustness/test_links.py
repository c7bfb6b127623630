"""Links, pipes and state files that point elsewhere: followed, refused or ignored."""

import json
import os

import pytest
from made_results import PLAIN, filled
from networks import write_tensorflow
from refusals import refusal
from trees import make

from benchmarks.robustness.checkpoints import VALUES
from benchmarks.robustness.data_sets import jpeg
from dgl.data import load_data
from dgl.data.image_files import list_images
from dgl.data.image_io import read_image
from dgl.evaluation.results import Store, merge_records
from dgl.report.localize_files import ImageFiles
from dgl.weights import open_checkpoint


@pytest.fixture
def folder(tmp_path):
    """``a.jpg``, a link to it from elsewhere, one to nowhere, one to itself, and a pipe."""
    images = tmp_path / "images"
    make(tmp_path, {"images/a.jpg": jpeg(), "outside.jpg": jpeg()})
    (images / "linked.jpg").symlink_to(tmp_path / "outside.jpg")
    (images / "lost.jpg").symlink_to("nowhere.jpg")
    (images / "self.jpg").symlink_to("self.jpg")
    os.mkfifo(str(images / "pipe.jpg"))
    return images


def test_lost_images_are_listed_and_named(folder):
    paths = [os.path.join(str(folder), n + ".jpg") for n in ("a", "linked", "lost", "self")]
    assert list_images(str(folder)) == paths
    assert all(read_image(path).shape == (60, 80, 3) for path in paths[:2])
    for path in paths[2:]:
        assert os.path.basename(path) in refusal(read_image, path)


def test_folders_that_link_to_themselves_are_passed_over(folder, tmp_path):
    make(tmp_path / "val", {"cat/1.jpg": "x", "dog/1.jpg": "x"})
    (tmp_path / "val" / "loop").symlink_to("loop")
    (tmp_path / "val" / "linked").symlink_to(folder)
    names = load_data(str(tmp_path), "val", layout="folder").class_names
    assert names == ("cat", "dog", "linked")


@pytest.mark.parametrize("where", ["/elsewhere/model-7", "../../model-7", "/dev/zero"])
def test_a_state_file_leads_nowhere_else(tmp_path, where):
    write_tensorflow(tmp_path / "model-7", VALUES)
    write_tensorflow(tmp_path / "model-8", VALUES)
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{where}"\n')
    if where == "/dev/zero":
        assert "several checkpoints: model-7, model-8" in refusal(open_checkpoint, str(tmp_path))
    else:
        assert open_checkpoint(str(tmp_path)).path == str(tmp_path / "model-7")


@pytest.mark.parametrize("name", ["checkpoint", "model-7.data-00000-of-00001", "model-7.data-x"])
def test_pipes_among_a_checkpoint_s_files(tmp_path, name):
    write_tensorflow(tmp_path / "model-7", VALUES)
    if (tmp_path / name).exists():
        (tmp_path / name).unlink()
    os.mkfifo(str(tmp_path / name))
    if name == "checkpoint":
        assert open_checkpoint(str(tmp_path)).path == str(tmp_path / "model-7")
    else:
        message = refusal(open_checkpoint, str(tmp_path))
        assert "not a file; expected a part of a checkpoint" in message


@pytest.mark.parametrize(
    "plan, results, words",
    [
        # Images so many are not counted out.
        ({"data": dict(PLAIN.data, images=10**12)}, {}, f"the first is image {PLAIN.batch + 1};"),
        ({"step": 1e-9}, {}, "damaged results"),
        ({"entries": [["dgl", 3]]}, {}, "damaged results"),
        ({"batch": 1.5}, {}, "damaged results"),
        ({}, {"names": [["00000099", "a.jpg"]]}, "damaged results"),
    ],
)
def test_results_that_do_not_belong_together(tmp_path, plan, results, words):
    plan = dict(PLAIN.to_json(), **plan)
    results = dict(filled(range(PLAIN.batch)).state_dict(), **results)
    (tmp_path / "records.json").write_text(json.dumps({"plan": plan, "results": results}))
    assert words in refusal(merge_records, [str(tmp_path)])
    store = Store(str(tmp_path / "store"), PLAIN)
    os.mkfifo(str(tmp_path / "store" / "partial" / "batch-000001.json"))
    assert store.done() == [1] and "not a file; expected results" in refusal(store.read, 1)


@pytest.mark.parametrize("data", [None, b"[" * 100000, b"\xff", b"{}" + b" " * (2 << 20), b"7"])
def test_records_of_the_demo_that_are_none(tmp_path, data):
    files = ImageFiles([("dgl", "conv5_2")], "vgg", "dgl", 0.2, False, {})
    names = ("a.jpg", "vgg_conv5_2_dgl.png", "vgg_conv5_2_dgl_box.png")
    make(tmp_path, {**dict.fromkeys(names, "x"), "vgg_conv5_2_dgl.json": data or "x"})
    if data is None:
        (tmp_path / "vgg_conv5_2_dgl.json").unlink()
        os.mkfifo(str(tmp_path / "vgg_conv5_2_dgl.json"))
    assert files.find(str(tmp_path / "a.jpg"), None, str(tmp_path)) is None
