"""The recipe, initial weights, data and attention images that flags resolve to."""

import os

import pytest
from tiny import WIDTH, plain, vgg_variables, write_list
from train_flags import RESNET, parse

from dgl.backbones import get_backbone
from dgl.errors import UserError
from dgl.training import resolve as module
from dgl.training.resolve import load_split, resolve, run
from dgl.weights import save_npz


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Flags resolve as on a machine without a GPU, and the environment is as before."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(module, "select_gpus", lambda gpu: 0)


@pytest.fixture
def weights(tmp_path):
    """Stores a VGG at width 1/8 and gives its path."""

    def store(classes=4, head="linear", norm="none"):
        path = str(tmp_path / "weights.npz")
        save_npz(path, vgg_variables(classes, head, norm))
        return path

    return store


def resolved(args, mode="vgg", images=640, classes=4):
    return resolve(args, mode, images, classes)


@pytest.mark.parametrize(
    "flags, steps",
    [
        (("--cub", "--batch", 32), 1000),
        (("--imagenet", "--batch", 32), 8000),
        (("--cub", "--batch", 32, "--stepscale", 1), 200),
        (("--batch", 32), 20),
        (("--cub", "--batch", 32, "--steps", 3), 3),
    ],
)
def test_steps(flags, steps):
    assert resolved(parse(*flags))[0].steps == steps


def test_the_recipe_has_the_flags():
    words = (
        "--batch 12 --base-lr 0.02 --epoch 9 --final-size 96 --lr-epochs 4,6 --towers 3 --seed 5 "
        "--width 0.25 --norm bn --workers 0"
    )
    recipe, start = resolved(parse(*words.split()))
    assert start is None
    assert (recipe.mode, recipe.batch, recipe.towers) == ("vgg", 12, 3)
    assert (recipe.base_lr, recipe.epochs, recipe.image_size) == (0.02, 9, 96)
    assert (recipe.lr_epochs, recipe.seed, recipe.workers) == ((4, 6), 5, 0)
    options = recipe.options
    assert (options.classes, options.width, options.norm) == (4, 0.25, "bn")
    assert options.data_format == "channels_last"
    assert recipe.weight_decay == (r".*/W", 5e-4)


@pytest.mark.parametrize(
    "mode, scale, expected",
    [
        ("vgg", "1e-4", (r".*/W", 1e-4)),
        ("vgg", "0", None),
        ("resnet50", "1e-4", (r".*/W", 1e-4)),
        ("inceptionv3", "2e-5", (r".*/weights", 2e-5)),
    ],
)
def test_weight_decay_other_than_the_backbones_own(mode, scale, expected):
    assert resolved(parse("--weight-decay", scale), mode)[0].weight_decay == expected


@pytest.mark.parametrize("mode", ["resnet50", "resnet152se", "inceptionv3"])
def test_only_vgg_has_weight_decay(mode):
    recipe, _ = resolved(parse(), mode)
    assert recipe.weight_decay is None
    assert recipe.options.norm == "none"


@pytest.mark.parametrize(
    "gpus, flags, data_format",
    [(2, (), "channels_first"), (2, ("--chlast",), "channels_last"), (0, (), "channels_last")],
)
def test_one_tower_a_gpu_and_channels_first_there(monkeypatch, gpus, flags, data_format):
    monkeypatch.setattr(module, "select_gpus", lambda gpu: gpus)
    recipe, _ = resolved(parse(*flags))
    assert recipe.towers == max(1, gpus)
    assert recipe.options.data_format == data_format


@pytest.mark.parametrize(
    "flags, mode, head",
    [
        ((), "vgg", "linear"),
        (("--cub",), "vgg", "linear_cub"),
        (("--imagenet",), "vgg", "linear"),
        (("--cub",), "resnet50", "linearcub"),
        ((), "inceptionv3", "Logits/Conv2d_1c_1x1_4"),
    ],
)
def test_a_new_head_is_named_for_its_data(flags, mode, head):
    assert resolved(parse(*flags), mode)[0].options.head == head


def test_last_stride_of_resnets():
    assert resolved(parse("--laststride", 2, **RESNET), "resnet50")[0].options.last_stride == 2


@pytest.mark.parametrize("towers, batch", [(3, 256), (2, 1), (5, 32)])
def test_a_batch_that_towers_cannot_share_is_refused(towers, batch):
    expected = f"--batch {batch}: expected a multiple of {towers} towers"
    with pytest.raises(UserError, match=expected):
        resolved(parse("--batch", batch, "--towers", towers))


def test_negative_workers_are_refused():
    with pytest.raises(UserError, match="--workers -1: expected 0 or more"):
        resolved(parse("--workers", -1))


@pytest.mark.parametrize("mode", ["resnet50", "resnet50se", "inceptionv3"])
def test_batch_norm_is_vgg_s_choice_alone(mode):
    with pytest.raises(UserError, match=f"--norm bn: {mode} has none"):
        resolved(parse("--norm", "bn"), mode)


def test_multipliers_only_with_load(weights):
    assert resolved(parse())[0].multipliers == ()
    recipe, start = resolved(parse("--load", weights()))
    assert recipe.multipliers == get_backbone("vgg").gradient_multipliers != ()
    assert set(start.loaded) == set(vgg_variables(4))


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_width_and_norm_are_those_of_load(weights, norm):
    recipe, _ = resolved(parse("--load", weights(norm=norm)))
    assert (recipe.options.width, recipe.options.norm) == (WIDTH, norm)
    recipe, _ = resolved(parse())
    assert (recipe.options.width, recipe.options.norm) == (1.0, "none")


def test_another_width_than_load_s_is_refused(weights):
    with pytest.raises(UserError, match=r"weights\.npz: does not fit --mode vgg"):
        resolved(parse("--load", weights(), "--width", 0.25))


def test_the_head_of_load_stays_where_it_fits(weights):
    recipe, start = resolved(parse("--cub", "--load", weights(4, "linear")))
    assert recipe.options.head == "linear"
    assert "linear/W" in start.loaded
    recipe, start = resolved(parse("--cub", "--load", weights(9, "linear")))
    assert recipe.options.head == "linear_cub"
    assert not any(name.startswith("linear") for name in start.loaded)


@pytest.mark.parametrize(
    "mode, file_name",
    [
        ("vgg", "vgg16.npz"),
        ("resnet50", "ImageNet-ResNet50.npz"),
        ("resnet50se", "ImageNet-ResNet50-SE.npz"),
        ("inceptionv3", "inception_v3.ckpt"),
    ],
)
@pytest.mark.parametrize("flag", ["--finetune", "--load"])
def test_absent_imagenet_weights_are_asked_for(monkeypatch, tmp_path, mode, file_name, flag):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dgl.weights.restore.PRETRAINED_FOLDER", "no_such_folder")
    flags = (flag,) if flag == "--finetune" else (flag, mode)
    with pytest.raises(UserError, match=f"fetch {file_name} .* and put it in "):
        resolved(parse(*flags), mode)


def test_finetune_takes_the_imagenet_weights(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    save_npz(os.path.join("pretrain_model", "vgg16.npz"), vgg_variables(1000))
    recipe, start = resolved(parse("--finetune"))
    assert recipe.multipliers == get_backbone("vgg").gradient_multipliers
    assert start.fresh == ["linear/W", "linear/b"]


def test_load_wins_over_finetune(weights):
    _, start = resolved(parse("--finetune", "--load", weights()))
    assert "linear/W" in start.loaded


def test_an_absent_checkpoint_is_named():
    with pytest.raises(UserError, match=r"--load nowhere\.npz: no such checkpoint"):
        resolved(parse("--load", "nowhere.npz"))


@pytest.fixture
def data(tmp_path):
    """A data set whose largest label is 6 in the train list and 3 in the validation list."""
    folder = tmp_path / "data"
    write_list(folder, "train", [("a.jpg", plain(9), 0, ()), ("b.jpg", plain(200), 6, ())])
    write_list(folder, "val", [("c.jpg", plain(9), 3, [(1, 2, 30, 31)])])
    return folder


@pytest.fixture
def trained(monkeypatch):
    """What :func:`run` would train: ((recipe, training, validation, log name), options) a call."""
    calls = []
    monkeypatch.setattr(module, "train", lambda *rest, **named: calls.append((rest, named)))
    return calls


@pytest.mark.parametrize(
    "flags, classes",
    [
        ((), 7),
        (("--classnum", 9), 9),
        (("--cub",), 200),
        (("--imagenet",), 1000),
        (("--cub", "--classnum", 30), 30),
        (("--imagenet", "--classnum", 30), 30),
    ],
)
def test_number_of_classes(data, trained, flags, classes):
    if "--cub" in flags:
        os.symlink(str(data / "train"), str(data / "images"))
        os.symlink(str(data / "val" / "c.jpg"), str(data / "train" / "c.jpg"))
    args = parse(*flags, data=data)
    assert run(args, "vgg") == 0
    (((recipe, training, validation, log_name), options),) = trained
    assert recipe.options.classes == classes
    assert (len(training), len(validation)) == (2, 1)
    assert (log_name, options["initial_values"], options["resume"]) == ("vgg", None, False)


def test_logdir_and_resume_are_passed_on(data, trained):
    args = parse("--logdir", "mine", "--resume", data=data)
    run(args, "vgg")
    (((_, _, _, log_name), options),) = trained
    assert (log_name, options["resume"]) == ("mine", True)


def test_print_recipe_trains_nothing(data, trained, weights, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (data / "train" / "b.jpg").unlink()  # images play no part
    args = parse(
        "--print-recipe", "--load", weights(7), "--base-lr", 0.002, "--batch", 32, data=data
    )
    assert run(args, "vgg") == 0
    assert trained == [] and not (tmp_path / "train_log").exists()
    printed = capsys.readouterr().out
    for text in ("2 training and 1 validation images", "weights.npz", "0.002 from epoch 1,"):
        assert text in printed


@pytest.fixture
def boxed(tmp_path):
    """Twelve images of three classes for validation, every one but the first with a box."""
    rows = [("a.jpg", plain(50), 0, ()), ("b.jpg", plain(90), 2, ())]
    write_list(tmp_path / "boxed", "train", rows)
    box = ((2, 3, 20, 30),)
    rows = [(f"{n}.jpg", plain(20 * n), n % 3, box if n else ()) for n in range(12)]
    write_list(tmp_path / "boxed", "val", rows)
    return tmp_path / "boxed"


@pytest.mark.parametrize(
    "flags, drawn, measured",
    [
        ((), 8, 11),
        (("--watch", 2, "--watch-boxes", 5), 2, 5),
        (("--watch", 2, "--watch-boxes", 0), 2, 0),
        (("--watch", 0, "--watch-boxes", 7), 0, 7),
    ],
)
def test_boxes_are_for_attention_maps_only(boxed, trained, flags, drawn, measured):
    args = parse(*flags, data=boxed)
    run(args, "vgg")
    (((_, training, validation, _), options),) = trained
    assert not any(sample.boxes for sample in training.samples + validation.samples)
    images = options["attention"]
    assert (len(images.drawn), len(images.measured)) == (drawn, measured)
    assert all(sample.boxes for sample in images.drawn + images.measured)
    assert images.layers == ("conv5_3",)


def test_without_attention_maps_no_box_is_read(boxed, trained, monkeypatch):
    args = parse("--watch", 0, data=boxed)
    boxes = []
    load = module.load_data
    monkeypatch.setattr(module, "load_data", lambda *a: boxes.append(a[-1]) or load(*a))
    run(args, "vgg")
    assert trained[0][1]["attention"] is None and boxes == [False, False]


def test_training_works_without_boxes_that_cannot_be_read(boxed, trained, monkeypatch):
    load, warnings = module.load_data, []

    def refuse_boxes(*arguments):
        if arguments[-1]:
            raise UserError("boxes.txt:3: expected four numbers")
        return load(*arguments)

    monkeypatch.setattr(module, "load_data", refuse_boxes)
    monkeypatch.setattr(module.logger, "warning", lambda *a: warnings.append(a[0] % a[1:]))
    args = parse(data=boxed)
    run(args, "vgg")
    images = trained[0][1]["attention"]
    assert (len(images.drawn), images.measured) == (8, [])
    assert len(warnings) == 1 and "boxes.txt:3" in warnings[0]


def test_the_recipe_names_the_attention_maps(boxed, trained, capsys):
    args = parse("--print-recipe", "--watch-layer", 1, "pool4", data=boxed)
    run(args, "vgg")
    (line,) = [n for n in capsys.readouterr().out.splitlines() if n.startswith("watched")]
    assert "8 validation images at conv5_3, pool4" in line and "conv5_3 on 11 images" in line


def test_an_absent_layer_is_named(boxed, trained):
    args = parse("--watch-layer", "nowhere", data=boxed)
    with pytest.raises(UserError, match="--watch-layer nowhere"):
        run(args, "vgg")


def test_a_label_out_of_range_is_named_with_its_line(data, trained):
    args = parse("--classnum", 4, data=data)
    with pytest.raises(UserError, match=r"train\.txt:2: class 6 is out of range; expected 0 to 3"):
        run(args, "vgg")
    assert trained == []


def test_missing_images_are_named_before_training(data, trained):
    (data / "train" / "b.jpg").unlink()
    args = parse(data=data)
    with pytest.raises(UserError, match=r"1 of 2 .*b\.jpg"):
        run(args, "vgg")
    assert trained == []


def test_load_split_takes_the_layout_that_is_named(data):
    args = parse("--data-format", "imagenet", "--dataname", "tiny", data=data)
    loaded = load_split(args, "val", 5)
    assert (loaded.format, loaded.classes, loaded.samples[0].class_index) == ("imagenet", 5, 3)
