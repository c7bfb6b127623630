"""What `dgl localize` has beyond the published script."""

import os
import shutil

import pytest
from cli_runs import SIZE, dgl, tree
from networks import values_of, write_npz

from dgl.attribution import METHODS
from dgl.data.bundled import SHIPPED_IMAGES, sample_images
from dgl.tf_compat import tf

# On CPUs with AVX-512 TensorFlow 1.15 adds in another order for one image than for several, 1e-7 of a
# value: files that are to be the same to the byte are made image by image there.
ALIKE = ("--batch", "1") if tf.VERSION.startswith("1.") else ()


def localize(*words):
    done = dgl("localize", *words + ("--gpu=-1",))
    assert done.code == 0, done.err
    return done


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_its_files(method, tiny, photos, tmp_path):
    picture = os.path.join(photos, "val1.jpg")
    localize(picture, "--load", tiny, "--method", method, "--save-maps", "--out", tmp_path)
    layer = "image" if method == "center" else "conv5_2"
    stem = "vgg_cam" if method == "cam" else f"vgg_{layer}_{method}"
    wanted = {stem + end for end in (".png", ".npy", ".json", "_box.png")}
    if method in ("dgl", "cam"):
        other = "vgg_cam" if method == "dgl" else "vgg_conv5_2_dgl"
        wanted |= {other + ".png", other + ".npy"}
    assert set(tree(tmp_path)) == wanted


def test_pictures_and_folders_of_several_places(tiny, photos, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(os.path.join(photos, "val3.jpg"), str(other / "val1.jpg"))
    one = os.path.join(photos, "val1.jpg")
    out = tmp_path / "out"
    words = ("--data_path", other / "val1.jpg", "--load", tiny, "--out", out)
    localize(one, other, one, *words + ALIKE)
    assert sorted(os.listdir(str(out))) == ["results.jsonl", "val1", "val1-2"]
    alone = tmp_path / "alone"
    localize(other / "val1.jpg", "--load", tiny, "--out", alone)
    assert tree(alone) == tree(out / "val1-2")


def test_going_on_writes_the_same(tiny, photos, tmp_path):
    words = (photos, os.path.join(photos, "val1.jpg"), "--load", tiny, "--out", tmp_path) + ALIKE
    localize(*words)
    before = tree(tmp_path)
    os.remove(str(tmp_path / "val2" / "vgg_cam.png"))
    done = localize(*words + ("--resume",))
    assert "resuming after 4 of 5" in done.err
    assert tree(tmp_path) == before


def test_the_backbone_is_found_out(photos, tmp_path):
    path = write_npz(tmp_path / "a.npz", values_of("resnet50", SIZE, width=0.0625))
    picture = os.path.join(photos, "val1.jpg")
    localize(picture, "--load", path, "--image_size", SIZE, "--out", tmp_path / "o", "--layer", "0")
    assert "resnet50_cam.png" in os.listdir(str(tmp_path / "o"))


def test_without_a_picture_the_samples_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = localize("--layer", "conv5_3")
    names = [os.path.splitext(os.path.basename(path))[0] for path in sample_images()]
    assert sorted(os.listdir(str(tmp_path))) == sorted(names + ["results.jsonl"])
    assert len(done.out.splitlines()) == len(names) == 6


def test_the_samples_of_a_checkout(root):
    assert os.path.join(root, "images") == SHIPPED_IMAGES
    assert all(os.path.isfile(path) for path in sample_images())
