"""`dgl localize` on single images: files, records, flags, and how it ends on bad input."""

import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_runs import dgl
from demo_runs import HEIGHT, SIZE, WIDTH, demo, files_in, record_of, small_image
from networks import values_of, write_npz
from PIL import Image
from refusals import refusal
from sample_images import exif_of
from trees import contents

from dgl.data.image_io import Decoded, read_image
from dgl.data.views import demo_input
from dgl.evaluation.layer_fusion import Fusion, score_maps
from dgl.predict.postprocess import largest_box, parse_normalization, score_map
from dgl.predict.predictor import Predictor
from dgl.report.localize_files import Finding, ImageFiles
from dgl.utils.devices import cpu_flags, has_bfloat16
from dgl.utils.files import weights_fingerprint

pytestmark = pytest.mark.usefixtures("graphs_once")


@pytest.mark.parametrize("method", ["dgl", "cam", "center"])
def test_every_method_writes_its_files(method, vgg, photo, tmp_path):
    assert demo(vgg, photo, tmp_path, "--method", method, "--save-maps") == 0
    layer = {"center": "image", "cam": "add"}.get(method, "conv5_2")
    stem = "vgg_cam" if method == "cam" else f"vgg_{layer}_{method}"
    wanted = {stem + end for end in (".png", ".npy", ".json", "_box.png")}
    if method in ("dgl", "cam"):
        other = "vgg_cam" if method == "dgl" else "vgg_conv5_2_dgl"
        wanted |= {other + ".png", other + ".npy"}
    assert set(contents(tmp_path)) == wanted
    record = record_of(tmp_path, stem + ".json")
    assert (record["method"], record["layer"]) == (method, layer)
    for name in wanted:
        if name.endswith(".png"):
            with Image.open(str(tmp_path / name)) as image:
                assert (image.size, image.mode) == ((WIDTH, HEIGHT), "RGB")


def test_the_backbone_is_recognized_and_slashes_of_a_layer_become_underscores(photo, tmp_path):
    path = write_npz(tmp_path / "a.npz", values_of("resnet50", 32, width=0.125))
    out = tmp_path / "out"
    done = dgl("localize", photo, "--load", path, "--image_size", 32, "--out", out, "--gpu=-1")
    assert done.code == 0, done.err
    stem = "resnet50_group3_block0_shortcut_dgl"
    assert files_in(out) == [
        "resnet50_cam.png",
        *(stem + end for end in (".json", ".png", "_box.png")),
    ]
    assert record_of(out, stem + ".json")["layer"] == "group3/block0_shortcut"


def test_timing_tells_where_the_seconds_went(vgg, photo, tmp_path, capsys):
    before = time.perf_counter()
    assert demo(vgg, photo, tmp_path, "--timing") == 0
    whole = time.perf_counter() - before
    found = re.findall(r"(\w+) ([\d.]+) s", capsys.readouterr().err)
    parts = {part: float(seconds) for part, seconds in found}
    assert list(parts) == ["start", "TensorFlow", "network", "images", "all"]
    in_all = parts.pop("all")
    assert in_all == pytest.approx(sum(parts.values()), abs=0.025)
    assert in_all - parts["start"] <= whole + 0.025


def test_layers_are_fused_as_in_an_evaluation(vgg, photo, tmp_path):
    stem = "vgg_geo_conv5_3+conv5_2+conv5_1_dgl"
    flags = "--clayer 1-3 --fuse geo --normalize pas:90 --flip --save-maps".split()
    assert demo(vgg, photo, tmp_path, *flags) == 0
    assert set(files_in(tmp_path)) == {stem + e for e in (".png", ".npy", ".json", "_box.png")}
    with Predictor("vgg", vgg, ["1-3"], ["dgl"], image_size=SIZE, flip=True) as predictor:
        maps = predictor(demo_input(read_image(photo), SIZE)[np.newaxis]).maps
    record, saved = record_of(tmp_path, stem + ".json"), np.load(str(tmp_path / (stem + ".npy")))
    fusion = Fusion("dgl", "geo", ("conv5_3", "conv5_2", "conv5_1"))
    maps = {entry: raw[0] for entry, raw in maps.items()}
    expected = dict(score_maps(maps, SIZE, [fusion], parse_normalization("pas:90")))[fusion.entry]
    np.testing.assert_allclose(saved, expected, atol=1e-4)
    box = largest_box(score_map(expected, HEIGHT, WIDTH), record["threshold"])
    assert record["box"] == pytest.approx(box.tolist(), abs=1)
    assert record["layers"] == list(fusion.layers) and record["flip"] is True


def test_record(vgg, photo, tmp_path):
    demo(vgg, photo, tmp_path, "--class", 3, "--threshold", 0.35, "--pa", 5, "--save-maps")
    record, raw = record_of(tmp_path), np.load(str(tmp_path / "vgg_conv5_2_dgl.npy"))
    assert (raw.shape, raw.dtype) == ((4, 4), np.float32)
    assert record["box"] == largest_box(score_map(raw, HEIGHT, WIDTH), 0.35).tolist()
    demo(vgg, photo, tmp_path / "free")
    free = record_of(tmp_path / "free")
    assert free["class_index"] == free["predicted_index"] == record["predicted_index"] != 3
    assert 0 < record["probability"] < free["probability"] < 1
    assert (record["width"], record["height"], record["image_size"]) == (WIDTH, HEIGHT, SIZE)
    assert (record["image"], record["checkpoint"]) == (photo, vgg)
    assert (record["class_index"], record["class_name"]) == (3, "d")
    assert (record["threshold"], record["alpha"]) == (0.35, 5.0)
    assert record["weights"] == weights_fingerprint(vgg)


def test_a_network_of_imagenet_takes_and_shows_its_names(photo, tmp_path):
    path = write_npz(tmp_path / "a.npz", values_of("vgg", 32, classes=1000, width=0.125))
    words = ("--load", path, "--image_size", 32, "--gpu=-1", "--layer", "0", "--class", "afghan")
    done = dgl("localize", photo, *words, "--out", tmp_path / "out")
    assert done.code == 0 and "Afghan hound" in done.out, done.err
    (name,) = [name for name in files_in(tmp_path / "out") if name.endswith(".json")]
    # A class of lower probability is reported as a guess.
    assert record_of(tmp_path / "out", name)["probability"] < 0.1 and "(unsure)" in done.out


def test_a_turned_image_and_one_of_a_pixel(vgg, tmp_path):
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    photo = Image.fromarray(small_image())
    photo.save(str(images / "rotated.jpg"), exif=exif_of(6).tobytes(), quality=95)
    photo.crop((0, 0, 1, 1)).save(str(images / "dot.png"))
    assert demo(vgg, images, out) == 0
    assert files_in(out) == ["dot", "results.jsonl", "rotated"]
    for name, size in (("rotated", (HEIGHT, WIDTH)), ("dot", (1, 1))):
        record = record_of(out / name)
        assert (record["width"], record["height"]) == size
        with Image.open(str(out / name / "vgg_cam.png")) as overlay:
            assert overlay.size == size


@pytest.mark.skipif(has_bfloat16(cpu_flags()), reason="this CPU has bfloat16")
def test_a_precision_that_the_machine_lacks(vgg, photo, tmp_path):
    assert "--precision bf16" in refusal(demo, vgg, photo, tmp_path, "--precision", "bf16")
    assert not files_in(tmp_path)


_BEFORE_TENSORFLOW = """
import sys
from dgl.cli import entry, localize
localize.use_reference_kernels = lambda: sys.exit("tensorflow" in sys.modules and "too late")
entry(["localize"])
"""


def test_kernels_are_chosen_before_tensorflow_is_loaded(root):
    subprocess.run([sys.executable, "-c", _BEFORE_TENSORFLOW], cwd=root, check=True)


@pytest.mark.parametrize(
    "flags, before, after", [((), None, "0"), (("--fast",), None, None), ((), "1", "1")]
)
def test_kernels_of_tensorflow_1_unless_set_otherwise(
    vgg, photo, tmp_path, monkeypatch, flags, before, after
):
    name = "TF_ENABLE_ONEDNN_OPTS"
    monkeypatch.setenv(name, before or "")  # restored after the test
    if before is None:
        monkeypatch.delenv(name)
    demo(vgg, photo, tmp_path, *flags)
    assert os.environ.get(name) == after


def test_a_photograph_needs_no_flags(shared_data, tmp_path):
    """The default network names the object, draws it and puts a box on it."""
    path = os.path.join(shared_data, "ilsvrc_samples", "ILSVRC2012_val_00000082.JPEG")
    done = dgl("localize", path, "--top", 2, "--out", tmp_path, "--gpu=-1")
    assert done.code == 0, done.err
    (record,) = [record_of(tmp_path, name) for name in files_in(tmp_path) if name.endswith(".json")]
    assert (record["class_index"], record["class_name"]) == (160, "Afghan hound")
    first, second = record["classes"]
    assert first["box"] == record["box"] and first["probability"] > second["probability"]
    # Seen by eye, the dog spans about 117, 111 to 373, 480.
    x0, y0, x1, y1 = record["box"]
    width, height = min(x1, 373) - max(x0, 117), min(y1, 480) - max(y0, 111)
    union = (x1 - x0) * (y1 - y0) + 256 * 369 - width * height
    assert width * height / union > 0.5
    lines = done.out.splitlines()
    assert len(lines) == 2 and "Afghan hound 0.9" in lines[0] and "unsure" not in lines[0]
    assert dgl("localize", path, "--class", "afghan", "--top", 2, "--out", tmp_path).code == 1
    assert any("_top2" in name for name in files_in(tmp_path))
    assert dgl("localize", path, "--out", tmp_path, "--gpu=-1").code == 0
    assert not any("_top2" in name for name in files_in(tmp_path))


@pytest.mark.parametrize("value, has_region", [(-1.0, False), (1.0, True)])
def test_a_map_without_positive_values_has_no_region(tmp_path, value, has_region):
    """The record says null, and the image is drawn without a box."""
    image, raw = small_image(), np.full((4, 4), -2.0, "float32")
    raw[1:3, 1:3] = value
    files = ImageFiles([("dgl", "add")], "vgg", "dgl", 0.2, False, {}, published=False)
    facts = {"class_index": 0, "class_name": "a", "probability": 0.5, "predicted_index": 0}
    found = [Finding(facts, {("dgl", "add"): raw})]
    record = files.write("a.png", Decoded(image, image.shape[1::-1]), found, str(tmp_path))
    assert (record["box"] is not None) == has_region
    with Image.open(str(tmp_path / "vgg_add_dgl_box.png")) as drawn:
        assert np.array_equal(np.asarray(drawn), image) != has_region
