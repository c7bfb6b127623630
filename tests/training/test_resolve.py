"""The recipe, initial weights, data and attention images that flags resolve to."""

import os

import pytest
from networks import WIDTH, vgg_variables
from refusals import check_refusal
from sample_images import plain, write_list
from small_trainings import parse, rows_of

from dgl.backbones import get_backbone
from dgl.errors import UserError
from dgl.training import resolve as module
from dgl.training.distributed import SINGLE, Ranks
from dgl.training.resolve import resolve, run
from dgl.weights import save_npz


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Flags resolve as on a machine without a GPU, and the environment is as before."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(module, "select_gpus", lambda gpu: 0)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Stores a VGG at width 1/8 in the working folder and gives its name."""
    monkeypatch.chdir(tmp_path)

    def store(classes=4, norm="none", path="weights.npz"):
        save_npz(path, vgg_variables(classes, norm=norm))
        return path

    return store


def resolved(*flags, mode="vgg", ranks=SINGLE):
    return resolve(parse(*flags), mode, 640, 4, ranks)


@pytest.mark.parametrize(
    "flags, mode, expected",
    [
        ("--cub --batch 32", "vgg", {"steps": 1000, "head": "linear_cub"}),
        ("--imagenet --batch 32", "vgg", {"steps": 8000, "head": "linear"}),
        ("--cub --batch 32 --stepscale 1", "resnet50", {"steps": 200, "head": "linearcub"}),
        ("--cub --batch 32 --steps 3", "vgg", {"steps": 3}),
        ("", "inceptionv3", {"head": "Logits/Conv2d_1c_1x1_4", "norm": "none"}),
        (
            "--batch 12 --base-lr 0.02 --epoch 9 --final-size 96 --lr-epochs 4,6 --towers 3 --seed 5 "
            "--width 0.25 --norm bn --workers 0",
            "vgg",
            {"mode": "vgg", "batch": 12, "towers": 3, "base_lr": 0.02, "epochs": 9, "image_size": 96,
             "lr_epochs": (4, 6), "seed": 5, "workers": 0, "classes": 4, "width": 0.25, "norm": "bn",
             "steps": 53, "multipliers": (), "data_format": "channels_last"},
        ),
        # Only VGG has weight decay of its own.
        ("", "vgg", {"weight_decay": (r".*/W", 5e-4), "width": 1.0, "norm": "none"}),
        ("--weight-decay 0", "vgg", {"weight_decay": None}),
        ("", "resnet152se", {"weight_decay": None}),
        ("--weight-decay 1e-4", "resnet50", {"weight_decay": (r".*/W", 1e-4)}),
        ("--weight-decay 2e-5", "inceptionv3", {"weight_decay": (r".*/weights", 2e-5)}),
    ],
)  # fmt: skip
def test_the_recipe_of_flags(flags, mode, expected):
    recipe, start = resolved(*flags.split(), mode=mode)
    found = {**vars(recipe.options), **vars(recipe)}
    assert {name: found[name] for name in expected} == expected
    assert start is None


@pytest.mark.parametrize(
    "gpus, flags, data_format",
    [(2, (), "channels_first"), (2, ("--chlast",), "channels_last"), (0, (), "channels_last")],
)
def test_one_tower_per_gpu_and_channels_first_there(monkeypatch, gpus, flags, data_format):
    monkeypatch.setattr(module, "select_gpus", lambda gpu: gpus)
    recipe, _ = resolved(*flags)
    assert (recipe.towers, recipe.options.data_format) == (max(1, gpus), data_format)
    # Each of several processes has one.
    recipe, _ = resolved("--batch", 32, *flags, ranks=Ranks(1, 4, 1, 2))
    assert (recipe.towers, recipe.processes, recipe.tower_batch) == (1, 4, 8)
    assert not recipe.with_top5  # of four classes


@pytest.mark.parametrize(
    "flags, mode, size, text",
    [
        ("--towers 2", "vgg", 4, "--towers 2"),
        ("--batch 34", "vgg", 4, "--batch 34: .* 4 processes"),
        ("--batch 256 --towers 3", "vgg", 1, "--batch 256: .* 3 towers"),
        ("--workers -1", "vgg", 1, "--workers -1"),
        ("--norm bn", "resnet50", 1, "--norm bn: resnet50 has none"),
        ("--load nowhere.npz", "vgg", 1, r"--load nowhere\.npz"),
        ("--final-size 8", "vgg", 1, "--final-size 8: expected 32 to 4096"),
    ],
)
def test_flags_that_are_refused(flags, mode, size, text):
    check_refusal(text, resolved, *flags.split(), mode=mode, ranks=Ranks(0, size, 0, size))


@pytest.mark.parametrize(
    "classes, norm, head", [(4, "none", "linear"), (4, "bn", "linear"), (9, "none", "linear_cub")]
)
def test_the_network_of_load(weights, classes, norm, head):
    recipe, start = resolved("--cub", "--load", weights(classes, norm))
    options = recipe.options
    assert (options.width, options.norm, options.head) == (WIDTH, norm, head)
    assert recipe.multipliers == get_backbone("vgg").gradient_multipliers != ()
    names = [name for name in vgg_variables(4, norm=norm) if head in name or "linear" not in name]
    assert set(start.loaded) == set(names)
    check_refusal(r"weights\.npz: does not fit", resolved, "--load", weights(), "--width", 0.25)


def test_finetune_loads_the_imagenet_weights_unless_load_is_given(weights):
    weights(1000, path=os.path.join("pretrain_model", "vgg16.npz"))
    recipe, start = resolved("--finetune")
    assert recipe.multipliers == get_backbone("vgg").gradient_multipliers
    assert start.fresh == ["linear/W", "linear/b"]
    assert resolved("--finetune", "--load", weights())[1].fresh == []


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
        ("", 7),
        ("--classnum 9", 9),
        ("--cub", 200),
        ("--imagenet", 1000),
        ("--cub --classnum 30", 30),
        ("--data-format imagenet --dataname tiny", 7),
    ],
)
def test_number_of_classes(data, trained, flags, classes):
    if "--cub" in flags:
        os.symlink(data / "train", data / "images")
        os.symlink(data / "val" / "c.jpg", data / "train" / "c.jpg")
    assert run(parse(*flags.split(), "--logdir", "mine", "--resume", data=data), "vgg") == 0
    (((recipe, training, validation, log_name), options),) = trained
    assert recipe.options.classes == classes
    assert (len(training), len(validation)) == (2, 1)
    assert (log_name, options["initial_values"], options["resume"]) == ("mine", None, True)


@pytest.fixture
def boxed(tmp_path):
    """Twelve images of three classes for validation, every one but the first with a box."""
    boxes = [(), *11 * [((2, 3, 20, 30),)]]
    write_list(tmp_path / "boxed", "train", rows_of(3, 3))
    write_list(tmp_path / "boxed", "val", rows_of(12, 3, boxes))
    return tmp_path / "boxed"


@pytest.mark.parametrize(
    "flags, drawn, measured",
    [
        ("", 8, 11),
        ("--watch 2 --watch-boxes 5", 2, 5),
        ("--watch 2 --watch-boxes 0", 2, 0),
        ("--watch 0 --watch-boxes 7", 0, 7),
    ],
)
def test_boxes_are_for_attention_maps_only(boxed, trained, flags, drawn, measured):
    run(parse(*flags.split(), data=boxed), "vgg")
    (((_, training, validation, _), options),) = trained
    assert not any(sample.boxes for sample in training.samples + validation.samples)
    images = options["attention"]
    assert (len(images.drawn), len(images.measured)) == (drawn, measured)
    assert all(sample.boxes for sample in images.drawn + images.measured)
    assert images.layers == ("conv5_3",)


@pytest.mark.parametrize("watch", [0, 8])
def test_training_works_without_boxes_that_cannot_be_read(boxed, trained, monkeypatch, watch):
    load, warnings = module.load_data, []

    def refuse_boxes(*arguments):
        if arguments[-1]:
            raise UserError("boxes.txt:3: expected four numbers")
        return load(*arguments)

    monkeypatch.setattr(module, "load_data", refuse_boxes)
    monkeypatch.setattr(module.logger, "warning", lambda *a: warnings.append(a[0] % a[1:]))
    run(parse("--watch", watch, data=boxed), "vgg")
    images = trained[0][1]["attention"]
    if watch:
        assert (len(images.drawn), images.measured) == (8, [])
        assert "boxes.txt:3" in warnings[0]
    else:  # no box is read
        assert images is None and not any("boxes.txt" in text for text in warnings)


def test_print_recipe_trains_nothing(boxed, trained, weights, capsys):
    (boxed / "train" / "1.jpg").unlink()  # images play no part
    flags = f"--print-recipe --load {weights(3)} --base-lr 0.002 --watch-layer 1 pool4"
    assert run(parse(*flags.split(), data=boxed), "vgg") == 0
    assert trained == [] and not os.path.exists("train_log")
    printed = capsys.readouterr().out
    for text in ("3 training and 12 validation images", "weights.npz", "0.002 from epoch 1,",
                 "8 validation images at conv5_3, pool4", "conv5_3 on 11 images"):  # fmt: skip
        assert text in printed


@pytest.mark.parametrize(
    "flags, text",
    [
        ("--watch-layer nowhere", "--watch-layer nowhere"),
        ("--classnum 4", r"train\.txt:2: class 6 .* 0 to 3"),
        ("", r"1 of 2 .*b\.jpg"),
    ],
)
def test_training_does_not_begin_with_bad_input(data, trained, flags, text):
    (data / "train" / "b.jpg").unlink()
    check_refusal(text, run, parse(*flags.split(), data=data), "vgg")
    assert trained == []
