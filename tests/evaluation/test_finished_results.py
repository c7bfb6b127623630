"""Finished results are replaced by the same flags alone; labels and boxes of other frames are told."""

import dataclasses
import json
import logging

import pytest
from command_runs import CLASSES, evaluate_many, metrics_of, parse
from fake_predictor import FakePredictor, Run, make_dataset, make_plan
from networks import vgg_variables
from PIL import Image
from sample_images import blob_image, write_list

from dgl.cli.evaluate import make_parser, run
from dgl.data.image_io import read_image
from dgl.errors import UserError
from dgl.evaluation.batches import BatchRunner
from dgl.evaluation.loop import collect
from dgl.evaluation.results import Store
from dgl.weights import ModelCard, save_npz, write_card

pytestmark = pytest.mark.usefixtures("quick_charts")

QUICK = ("--gallery", 0, "--resamples", 0, "--clayer", 1, "--method", "dgl", "--gpu=-1")


@pytest.mark.slow
def test_other_flags_do_not_replace_finished_results(folder, many, tmp_path):
    out = tmp_path / "out"
    first = evaluate_many(folder, many, out, *QUICK)
    with pytest.raises(UserError, match=r"finished results .* differs in threshold; .*--overwrite"):
        evaluate_many(folder, many, out, *QUICK, "--threshold", 0.3)
    assert metrics_of(out) == first
    assert evaluate_many(folder, many, out, *QUICK) == first
    changed = evaluate_many(folder, many, out, *QUICK, "--threshold", 0.3, "--overwrite")
    assert changed != first
    with pytest.raises(UserError, match=r"--out .*: finished results of another evaluation"):
        maps = ["--maps", str(tmp_path), "--metadata", str(tmp_path), "--out", str(out)]
        _saved(tmp_path)
        run(make_parser("Score.").parse_args(maps))


def _saved(folder):
    for name, line in (
        ("image_ids.txt", "a"), ("image_sizes.txt", "a,9,9"), ("localization.txt", "a,1,1,5,5"),
    ):  # fmt: skip
        (folder / name).write_text(line + "\n")


def test_a_shard_does_not_replace_another(folder, many, tmp_path):
    out = tmp_path / "out"
    evaluate_many(folder, many, out, *QUICK, "--shard", "1/3")
    evaluate_many(folder, many, out, *QUICK, "--shard", "1/3")
    with pytest.raises(UserError, match="differs in shard"):
        evaluate_many(folder, many, out, *QUICK, "--shard", "2/3")


@pytest.fixture(scope="module")
def one_more(tmp_path_factory):
    """A checkpoint with a background class first, and its data, which count without one."""
    folder = tmp_path_factory.mktemp("offset")
    save_npz(str(folder / "tiny.npz"), vgg_variables(CLASSES))
    write_card(str(folder / "tiny.json"), ModelCard("vgg", 64))
    rows = [
        (f"{i}.jpg", blob_image(i + 1, 60, 80), i % (CLASSES - 1), [(9, 9, 50, 40)])
        for i in range(6)
    ]
    write_list(folder / "data", "val", rows)
    names = "".join(f"class {i}\n" for i in range(CLASSES - 1))
    (folder / "data" / "classes.txt").write_text(names)
    return folder


def test_one_output_more_than_classes(one_more, tmp_path):
    with pytest.raises(UserError, match="6 classes, but the checkpoint has 7 outputs"):
        run(parse(one_more, "--out", tmp_path / "out", *QUICK))
    assert not (tmp_path / "out").exists()
    found = {}
    for offset in (0, 1):
        out = tmp_path / str(offset)
        assert run(parse(one_more, "--out", out, *QUICK, "--class-offset", offset)) == 0
        found[offset] = (out / "images.csv").read_text().splitlines()[1].split(",")
    assert found[0][1:3] == ["0", "class 0"] and found[1][1:3] == ["1", "class 0"]


class Offset(FakePredictor):
    """Predicts the class after the true one, always."""

    def __init__(self):
        super().__init__(wrong=range(self.classes))


def test_an_offset_that_predictions_show_is_suggested(tmp_path):
    dataset = make_dataset(tmp_path, count=20, classes=7)
    for predictor in (Offset(), FakePredictor()):
        plan = make_plan(predictor, dataset, batch=4)
        batches = BatchRunner(predictor, dataset, plan).run
        store = Store(str(tmp_path / "out"), plan)
        if isinstance(predictor, Offset):
            with pytest.raises(UserError, match=r"label \+1 on .*expected --class-offset 1"):
                collect(plan, dataset, batches, store, progress=False, check_offset=True)
            assert not (tmp_path / "out" / "partial").exists()
        else:
            collect(plan, dataset, batches, store, progress=False, check_offset=True)


def turned(dataset, folder, orientation):
    """The same images, stored so that EXIF turns them; their boxes in the frame that is stored."""
    samples = []
    for number, sample in enumerate(dataset.samples):
        image = Image.fromarray(read_image(sample.path))
        width, height = image.size
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = image.transpose(Image.ROTATE_90 if orientation == 6 else Image.ROTATE_180)
        path = str(folder / f"turned{number}.png")
        stored.save(path, exif=exif)
        boxes = tuple(
            (y0, width - x1, y1, width - x0)
            if orientation == 6
            else (width - x1, height - y1, width - x0, height - y0)
            for x0, y0, x1, y1 in sample.boxes
        )
        samples.append(dataclasses.replace(sample, path=path, boxes=boxes))
    return dataclasses.replace(dataset, samples=samples)


@pytest.mark.parametrize("orientation", [3, 6])
def test_boxes_of_the_raw_frame(tmp_path, orientation, caplog):
    dataset = make_dataset(tmp_path)
    expected = Run(FakePredictor(), dataset, str(tmp_path / "out")).metrics
    other = turned(dataset, tmp_path, orientation)
    with caplog.at_level(logging.WARNING):
        raw = {"name": "rectangles", "split": "val", "images": len(other), "boxes_frame": "raw"}
        found = Run(FakePredictor(), other, str(tmp_path / "raw"), data=raw).metrics
    assert not caplog.records
    assert json.dumps(found["protocols"]) == json.dumps(expected["protocols"])
    assert (
        Run(FakePredictor(), other, str(tmp_path / "up")).metrics["protocols"] != found["protocols"]
    )


def test_swapped_sizes_are_told_once(tmp_path, caplog):
    dataset = make_dataset(tmp_path)
    samples = [
        dataclasses.replace(sample, size=read_image(sample.path).shape[:2])
        for sample in dataset.samples
    ]
    with caplog.at_level(logging.WARNING):
        Run(FakePredictor(), dataclasses.replace(dataset, samples=samples), str(tmp_path / "out"))
    (record,) = caplog.records
    for part in ("of them with width and height swapped", "--boxes-frame raw"):
        assert part in record.getMessage()


def test_boxes_that_fit_only_when_turned_are_told(tmp_path, caplog):
    dataset = turned(make_dataset(tmp_path), tmp_path, 6)
    with caplog.at_level(logging.WARNING):
        Run(FakePredictor(), dataset, str(tmp_path / "out"))
    assert (
        "fit them only with width and height swapped (boxes made in images that EXIF" in caplog.text
    )


def test_a_bad_line_is_recorded_and_all_else_done(folder, tmp_path):
    rows = [(f"{i}.jpg", blob_image(1, 40, 40) if i < 2 else None, 0, [(2, 2, 30, 30)])
            for i in range(120)]  # fmt: skip
    write_list(tmp_path / "data", "val", rows)
    path = tmp_path / "data" / "labels" / "tiny" / "val.txt"
    path.write_text(path.read_text() + "one.jpg 0 1 2 3\n")
    out = tmp_path / "out"
    flags = (*QUICK, "--data", tmp_path / "data", "--out", out, "--limit", 2)
    assert run(parse(folder, *flags)) == 1
    assert "val.txt:121" in (out / "skipped.csv").read_text()
    assert not (out / "errors.csv").exists()
