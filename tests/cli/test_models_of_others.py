"""`--load` of classifiers that others built: every format gives the same record, and flags say the rest."""

import os
import shutil

import numpy as np
import pytest
from cli_runs import write_graph
from demo_runs import files_in, record_of
from foreign_files import write_keras, write_pth
from refusals import check_refusal

from dgl.cli.parser import main
from dgl.data.image_io import read_image
from dgl.data.views import demo_input
from dgl.errors import ArgumentError
from dgl.foreign import layers_of, load_frozen, logits_of
from dgl.localizer import Localizer
from dgl.predict.graph_predictor import GraphPredictor
from dgl.predict.predictor import ModelPredictor, predictor_of
from dgl.serving.engine import Engine
from dgl.serving.handlers import ALL, ONE, TWO, Controls, Handlers
from dgl.serving.sessions import Limits
from dgl.tf_compat import tf
from dgl.weights.foreign_model import ForeignModel

SIDE = 32
RNG = np.random.RandomState(0)
KERNELS = [RNG.standard_normal((3, 3, a, b)).astype("f4") / 5 for a, b in ((3, 6), (6, 4))]
LINEAR = RNG.standard_normal((4, 3)).astype("f4")


def build(with_keep=False):
    image = tf.placeholder(tf.float32, [None, SIDE, SIDE, 3], "image")
    early = tf.nn.relu(tf.nn.conv2d(image, KERNELS[0], [1] * 4, "SAME"), "early")
    late = tf.nn.relu(tf.nn.conv2d(early, KERNELS[1], [1] * 4, "SAME"), "late")
    logits = tf.matmul(tf.reduce_mean(late, [1, 2]), LINEAR)
    if with_keep:
        logits = logits * tf.placeholder(tf.float32, [], "keep_prob")
    return image, late, tf.nn.softmax(logits, name="probability")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Kind -> path of the same network."""
    folder = tmp_path_factory.mktemp("models")
    found = {"names": str(folder / "names.txt"), "saved_model": str(folder / "saved")}
    (folder / "names.txt").write_text("finch\nowl\n")
    with tf.Graph().as_default(), tf.Session() as session:
        image, late, probability = build()
        found["frozen"] = write_graph(folder / "model.pb")
        outputs = {"probability": probability, "features": tf.reduce_max(late, [1, 2])}
        tf.saved_model.simple_save(session, found["saved_model"], {"image": image}, outputs)
    with tf.Graph().as_default():
        build(with_keep=True)
        found["keep"] = write_graph(folder / "keep.pb")
    return found


def localize(photo, out, *flags):
    assert main(["localize", photo, "--out", str(out), "--fast", "--save-maps", *flags]) == 0
    (record,) = [name for name in files_in(out) if name.endswith(".json")]
    return record_of(out, record)


@pytest.mark.parametrize(
    "kind, flags", [("frozen", ()), ("saved_model", ("--output", "probability"))]
)
def test_maps_are_those_of_the_graph(kind, flags, files, photo, tmp_path):
    """What is fed is RGB as the flag says, what comes out is what the library gives."""
    view = demo_input(read_image(photo), SIDE)
    logits = logits_of(load_frozen(files["frozen"]).output())
    layers = dict(list(layers_of(logits).items())[:1])
    with GraphPredictor(logits, layers) as predictor:
        expected = predictor(view[None, ..., ::-1].astype("f4") / 255)
    output = flags[1] if flags else None
    settings = {"load": files[kind], "layers": [0], "methods": ["dgl"]}
    with predictor_of(ForeignModel("unit", output), mode=None, **settings) as own:
        assert isinstance(own, ModelPredictor) and own.backbone.layers[:2] == ("late", "early")
        found = own(view[None])
        assert own.image_size == SIDE and own.classes == 3
    np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=1e-5)
    entry = "dgl", "late"
    np.testing.assert_allclose(found.maps[entry], expected.maps[entry], rtol=0, atol=1e-5)
    record = localize(photo, tmp_path, "--load", files[kind], "--preprocess", "unit", *flags)
    assert record["class_index"] == expected.class_index[0]
    assert record["probability"] == pytest.approx(expected.probability.max(), abs=1e-5)
    with Localizer(files[kind], preprocess="unit", output=output, class_names="abc") as localizer:
        (one,) = localizer(photo)
    assert (one.class_index, one.class_name) == (record["class_index"], "abc"[one.class_index])
    assert list(one.box) == record["box"]
    np.testing.assert_allclose(one.probability, record["probability"], rtol=0, atol=1e-5)


def test_names_inputs_and_layers(files, photo, tmp_path):
    (tmp_path / "names.txt").write_text("finch\nheron\nowl\n", encoding="utf-8")
    flags = ["--class-names", str(tmp_path / "names.txt"), "--feed", "keep_prob=1.0"]
    load = ["--load", files["keep"], *"--preprocess tf --layer early --method gradcam".split()]
    record = localize(photo, tmp_path / "out", *load, *flags)
    assert record["class_name"] in ("finch", "heron", "owl")
    words = "expected values for its inputs keep_prob:0"
    check_refusal(words, localize, photo, tmp_path / "other", *load)


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--mode vgg", "--mode vgg: expected none with"),
        ("--precision bf16", "--precision bf16: expected float32"),
        ("--layer nothing", "no such layer; choose .* 0 late, 1 early"),
        ("--feed rate", "--feed rate: expected NAME=VALUE"),
        ("--image_size 64", "image_size 64: image:0 takes 32 x 32"),
        ("--method foreground", "--method foreground: .*foreground head"),
        ("--min-probability 2", "--min-probability 2.0: expected above 0"),
        ("--class-names {names}", "2 names, .* 3 outputs; .* the background class included"),
        ("--load {saved_model}", r"2 of them; choose one of features \(float32 .*--output"),
        ("--load vgg --output scores", "--output: expected a model of others"),
        ("--load nothing.keras", "nothing.keras: no such model; expected a Keras model"),
    ],
)
def test_flags_that_do_not_fit(flags, words, files, photo, tmp_path):
    flags = [flag.format(**files) for flag in flags.split()]
    check_refusal(words, localize, photo, tmp_path / "out", "--load", files["frozen"], *flags)


@pytest.mark.parametrize(
    "name, write, words",
    [
        ("a.tflite", None, "no gradients; load the Keras model or SavedModel"),
        ("a.zip", None, "unpack"),
        ("a.xyz", None, "expected .* a model: .keras"),
        ("a.pt", write_pth, "an ONNX file: torch.onnx.export"),
        ("a.h5", lambda p, v: write_keras(p, [("conv", [("kernel", *v.values())])]), "model.save"),
    ],
)
def test_files_without_a_graph_say_which_one_to_load(name, write, words, photo, tmp_path):
    (tmp_path / name).write_bytes(b"data")
    if write:
        write(tmp_path / name, {"conv.weight": np.zeros((2, 3, 1, 1), "f4")})
    load = ["--load", str(tmp_path / name)]
    check_refusal(f"{name}: .*{words}", localize, photo, tmp_path / "out", *load)


def test_commands_for_checkpoints_say_which_take_models(files):
    words = "a model with its graph; expected a checkpoint"
    check_refusal(words, main, ["info", files["saved_model"]])


def test_a_json_file_beside_a_model_is_no_card(files, photo, tmp_path):
    shutil.copy(files["frozen"], str(tmp_path / "model.pb"))
    (tmp_path / "model.json").write_text('{"0": "cat"}')
    record = localize(photo, tmp_path / "out", "--load", str(tmp_path / "model.pb"))
    assert record["class_index"] in (0, 1, 2)


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--out", ""], "--out: no name"),
        (["--threshold", "nan"], r"--threshold nan.*\[0, 1\]"),
        (["--batch", "0"], r"--batch 0.*in \[1, "),
        (["--workers", "-1"], "--workers -1"),
    ],
)
def test_values_out_of_sense_end_in_one_line(flags, words, files, photo, tmp_path):
    load = ["--load", files["frozen"], "--out", str(tmp_path / "out")]
    evaluate, label = ["--data", str(tmp_path)], [os.path.dirname(photo), "--predict"]
    for command in (["localize", photo], ["evaluate", *evaluate], ["label", *label]):
        check_refusal(words, main, [*command, *load, *flags])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"preprocess": "tf"}, "preprocess: .* takes whole numbers .uint8"),
        ({"preprocess": "vgg"}, "preprocess 'vgg': expected a function or one of none, bgr"),
        ({"preprocess": lambda images: images[0]}, "preprocess: gave .* for 1 images"),
        ({"class_names": ["finch"]}, "class_names: 1 names, but the network has 3 outputs"),
        ({"batch": 1.5}, "batch 1.5: expected a whole number"),
    ],
)
def test_what_does_not_fit_a_graph(settings, words):
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, SIDE, SIDE, 3], "image")
        kernel = KERNELS[0][..., :4]
        layer = tf.nn.relu(tf.nn.conv2d(tf.to_float(image), kernel, [1] * 4, "SAME"))
        logits = tf.matmul(tf.reduce_mean(layer, [1, 2]), LINEAR)
        with pytest.raises(ArgumentError, match=words):
            Localizer.from_graph(logits, layer, **settings)(np.zeros((9, 9, 3), "uint8"))


def test_several_labels_of_one_image(photo, tmp_path):
    """Every class above the least probability has a map, whose loss is that of its sigmoid."""
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, SIDE, SIDE, 3], "image") / 255.0
        layer = tf.nn.relu(tf.nn.conv2d(image, KERNELS[0][..., :4], [1] * 4, "SAME"))
        logits = tf.matmul(tf.reduce_mean(layer, [1, 2]), LINEAR)
        tf.sigmoid(logits * 3.0 + [40.0, -90.0, 30.0])
        model = write_graph(tmp_path / "labels.pb")
    flags = ["--load", model, "--preprocess", "none", "--min-probability", "0.5"]
    record = localize(photo, tmp_path / "out", *flags)
    assert sorted(found["class_index"] for found in record["classes"]) == [0, 2]
    assert all(found["probability"] > 0.5 for found in record["classes"])


def test_the_page_describes_it_and_shows_its_maps(files, photo, tmp_path):
    with Engine([files["frozen"]], gpu="-1", foreign=ForeignModel("unit")) as engine:
        (model,) = engine.models
        assert model.mode == "model" and model.classes == 3 and model.layers[0] == "late"
        assert model.entry("cam", 1) == ("cam", "late")
        assert set(model.lacking) == {"foreground", "refined"}
        handlers = Handlers(engine, [photo], str(tmp_path), Limits())
        session, shown = handlers.sample(None, 0, Controls(layer=0, other_layer=0))
        assert shown.one and "error" not in (shown.status or "")
        for tab, part in ((ONE, "one"), (ALL, "all"), (TWO, "two")):
            controls = Controls(layer=0, other_layer=0, tab=tab)
            assert getattr(handlers.show(session, controls), part)
