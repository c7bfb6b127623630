"""The batch evaluation with a localizer whose maps and predictions are known."""

import dataclasses
import json
import logging
import os
from collections import namedtuple

import cv2
import numpy as np
import pytest

from dgl.data.geometry import resize_centre_crop, squash
from dgl.data.image_io import read_image
from dgl.data.sample import DataSet, Sample
from dgl.errors import UserError
from dgl.evaluation import pictures
from dgl.evaluation.entries import entry_name
from dgl.evaluation.localization import Evaluation
from dgl.evaluation.metrics import compute_metrics, image_rows
from dgl.evaluation.plan import Plan, pictures_fingerprint
from dgl.evaluation.store import Store

PROTOCOLS = ("fixed_threshold", "wsolevaluation")

SIZE, CLASSES = 112, 8
Prediction = namedtuple("Prediction", "class_index probability logits maps")

# x0, y0, x1, y1 as fractions of the picture, away from its middle: turned round, none overlaps itself.
PLACES = [(0.1, 0.1, 0.45, 0.45), (0.55, 0.1, 0.9, 0.4), (0.1, 0.55, 0.4, 0.9)]
SHAPES = [(120, 200), (240, 160), (150, 150), (90, 260), (200, 130)]


class FakeLocalizer(object):
    """Maps are the brightness of the picture (``seeing``) or of the picture turned round (``blind``).

    The true class is predicted, with its neighbour next, except for the classes in ``wrong``, where
    the neighbour comes first, and in ``lost``, where the true class comes last.
    """

    image_size = SIZE
    classes = CLASSES
    entries = [("seeing", "layer/1"), ("blind", "layer/1")]

    def __init__(self, wrong=(), lost=()):
        self._wrong, self._lost = set(wrong), set(lost)
        self.calls = []

    def __call__(self, images, class_index):
        self.calls.append((images, np.asarray(class_index)))
        seen = images.astype("float64").sum(axis=3)
        # Neither scale nor offset nor resolution may matter.
        small = [cv2.resize(image, (SIZE // 2, SIZE // 2)) * 0.3 - 40 for image in seen]
        maps = {
            self.entries[0]: np.stack(small),
            self.entries[1]: np.stack([image[::-1, ::-1] for image in small]),
        }
        logits = np.tile(-np.arange(self.classes, dtype="float32"), (len(images), 1))
        for row, label in zip(logits, class_index):
            own = 20 if label in self._wrong else -20 if label in self._lost else 40
            row[label], row[(label + 1) % self.classes] = own, 30
        power = np.exp(logits - logits.max(axis=1, keepdims=True))
        probability = power / power.sum(axis=1, keepdims=True)
        return Prediction(np.asarray(class_index), probability, logits, maps)


def make_dataset(folder, count=5, classes=CLASSES, boxed=None):
    """Pictures with one bright rectangle at their true box; class = index."""
    samples = []
    for index in range(count):
        height, width = SHAPES[index % len(SHAPES)]
        place = np.array(PLACES[index % len(PLACES)]) * [width, height, width, height]
        x0, y0, x1, y1 = place.round().astype(int).tolist()
        image = np.full((height, width, 3), 10, "uint8")
        image[y0:y1, x0:x1] = (240, 120, 60)
        path = str(folder / "{}.png".format(index))
        cv2.imwrite(path, image[..., ::-1])
        boxes = ((x0, y0, x1, y1),) if boxed is None or index in boxed else ()
        samples.append(Sample("{}.png".format(index), path, index % classes, boxes))
    return DataSet("rectangles", "folder", "val", samples, ("zero", "one", "two"), classes)


def make_plan(localizer, dataset, **settings):
    """A plan with everything at its default but ``settings``."""
    values = dict(
        protocols=PROTOCOLS,
        entries=tuple(localizer.entries),
        alpha_entries=(),
        threshold=0.2,
        thresholds={},
        selecting=False,
        step=0.01,
        batch=32,
        masks=any(sample.mask_paths for sample in dataset.samples),
        classes=localizer.classes,
        model={"mode": "fake"},
        data={"name": dataset.name, "split": dataset.split, "images": len(dataset)},
        versions={},
        class_names=dataset.class_names,
        pictures=pictures_fingerprint(dataset.samples),
        weights="",
    )
    values.update(settings)
    return Plan(**values)


class Run(object):
    """An evaluation that was run, its metrics without intervals, and what the report draws."""

    def __init__(self, localizer, dataset, out, gallery=5, workers=2, strict=False, **settings):
        self.plan = make_plan(localizer, dataset, **settings)
        self.evaluation = Evaluation(localizer, dataset, self.plan, workers=workers, strict=strict)
        self.gathered = self.evaluation.run(progress=False)
        self.metrics = compute_metrics(self.gathered, resamples=0)
        self.calls = list(getattr(localizer, "calls", ()))
        positions = pictures.choose(self.gathered, localizer.entries[0], gallery)
        self.gallery = pictures.draw(
            localizer, dataset, self.gathered, out, positions, localizer.entries, progress=False
        )

    def image_rows(self):
        return image_rows(self.gathered)


@pytest.fixture
def evaluate(tmp_path):
    """Runs an evaluation; gives it, its result and the localizer's calls."""

    def run(dataset=None, localizer=None, **settings):
        dataset = dataset or make_dataset(tmp_path)
        localizer = localizer or FakeLocalizer()
        found = Run(localizer, dataset, str(tmp_path / "out"), **settings)
        return found, found.metrics, localizer

    return run


def rows_of(result, protocol):
    return {(row["method"], row["layer"]): row for row in result["protocols"][protocol]["rows"]}


@pytest.mark.parametrize("batch, workers", [(1, 1), (2, 2), (32, 2)])
def test_maps_at_the_true_boxes_are_right_and_maps_elsewhere_are_wrong(evaluate, batch, workers):
    _, result, _ = evaluate(batch=batch, workers=workers)
    fixed, wsol = rows_of(result, "fixed_threshold"), rows_of(result, "wsolevaluation")
    assert list(fixed) == list(wsol) == FakeLocalizer.entries
    seeing, blind = FakeLocalizer.entries
    for key in ("gt_known", "top1_loc", "top5_loc"):
        assert (fixed[seeing][key], fixed[blind][key]) == (100.0, 0.0)
    for key in ("max_box_acc", "max_box_acc_v2"):
        assert wsol[seeing][key] == 100.0
    # At threshold 0 the foreground is all but whole, which no box here fills to a half.
    assert wsol[blind]["max_box_acc"] == 0.0
    assert {row["images"] for row in list(fixed.values()) + list(wsol.values())} == {5}
    assert result["classification"] == {"top1_error": 0.0, "top5_error": 0.0}


def test_wrong_predictions_count_against_top1_and_top5_alone(evaluate):
    _, result, _ = evaluate(localizer=FakeLocalizer(wrong=[1], lost=[3, 4]))
    row = rows_of(result, "fixed_threshold")[FakeLocalizer.entries[0]]
    assert row["gt_known"] == 100.0
    assert row["top1_loc"] == pytest.approx(40.0)
    assert row["top5_loc"] == pytest.approx(60.0)
    assert result["classification"] == pytest.approx({"top1_error": 60.0, "top5_error": 40.0})


def test_top5_is_left_out_with_five_classes(evaluate, tmp_path):
    localizer = FakeLocalizer()
    localizer.classes = 5
    evaluation, result, _ = evaluate(make_dataset(tmp_path, classes=5), localizer)
    assert set(result["classification"]) == {"top1_error"}
    assert all("top5_loc" not in row for row in rows_of(result, "fixed_threshold").values())


def test_images_without_boxes_are_skipped_but_classified(evaluate, tmp_path):
    localizer = FakeLocalizer(wrong=[0])
    evaluation, result, _ = evaluate(make_dataset(tmp_path, boxed=[1, 2]), localizer)
    for protocol in PROTOCOLS:
        row = rows_of(result, protocol)[FakeLocalizer.entries[0]]
        assert (row["images"], row["skipped"]) == (2, 3)
    assert rows_of(result, "fixed_threshold")[FakeLocalizer.entries[0]]["top1_loc"] == 100.0
    assert result["classification"]["top1_error"] == pytest.approx(20.0)
    rows = evaluation.image_rows()
    assert [row["seeing@layer/1:iou"] is None for row in rows] == [True, False, False, True, True]
    assert [item["id"] for item in evaluation.gallery] == ["1.png", "2.png"]


def test_no_box_at_all_is_refused(evaluate, tmp_path):
    with pytest.raises(UserError, match="at least one image with a true box"):
        evaluate(make_dataset(tmp_path, boxed=[]))


def damage(dataset, *positions):
    for position in positions:
        with open(dataset.samples[position].path, "wb") as stream:
            stream.write(b"no picture")


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_an_unreadable_picture_is_left_out_and_told_of(evaluate, tmp_path, caplog, batch):
    dataset = make_dataset(tmp_path)
    damage(dataset, 3)
    found, metrics, _ = evaluate(dataset, batch=batch, localizer=FakeLocalizer(wrong=[1, 3]))
    assert metrics["errors"] == 1
    ((key, (name, reason)),) = found.gathered.errors.items()
    assert (int(key), name) == (3, "3.png")
    assert "3.png" in reason and "left out" in caplog.text
    assert [row["id"] for row in found.image_rows()] == ["0.png", "1.png", "2.png", "4.png"]
    assert metrics["classification"]["top1_error"] == 25.0
    assert rows_of(metrics, "fixed_threshold")[FakeLocalizer.entries[0]]["images"] == 4


def test_strict_stops_at_an_unreadable_picture(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    damage(dataset, 3)
    with pytest.raises(UserError, match=r"3\.png"):
        evaluate(dataset, strict=True)


def test_no_readable_picture_at_all_is_an_error(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    damage(dataset, *range(5))
    with pytest.raises(UserError, match=r"none of 5 pictures can be read; the first: .*0\.png"):
        evaluate(dataset)


def test_each_protocol_has_its_own_view_in_bgr(evaluate, tmp_path):
    dataset = make_dataset(tmp_path, count=3)
    found, result, _ = evaluate(dataset, batch=2)
    assert [len(images) for images, _ in found.calls] == [2, 2, 1, 1]
    images = [read_image(sample.path) for sample in dataset.samples]
    cropped = np.concatenate([batch for batch, _ in found.calls[0::2]])
    squashed = np.concatenate([batch for batch, _ in found.calls[1::2]])
    for index, image in enumerate(images):
        crop, _ = resize_centre_crop(image, (), 128, SIZE)
        np.testing.assert_array_equal(cropped[index], crop[..., ::-1])
        np.testing.assert_array_equal(squashed[index], squash(image, (), SIZE)[0][..., ::-1])
    assert (cropped != squashed).any()
    geometries = {result["protocols"][name]["geometry"] for name in PROTOCOLS}
    assert len(geometries) == 2
    # Maps are of the true class in both.
    for _, class_index in found.calls[:2]:
        np.testing.assert_array_equal(class_index, [0, 1])


@pytest.mark.parametrize("protocols", [("fixed_threshold",), ("wsolevaluation",), PROTOCOLS[::-1]])
def test_protocols_can_be_chosen(evaluate, protocols):
    evaluation, result, localizer = evaluate(protocols=protocols, threshold=0.3, step=0.1)
    assert tuple(result["protocols"]) == protocols
    assert len(evaluation.calls) == len(protocols)
    assert result["classification"]["top1_error"] == 0.0
    assert len(evaluation.gallery) == 5
    if "fixed_threshold" in protocols:
        assert result["protocols"]["fixed_threshold"]["threshold"] == 0.3
        assert result["protocols"]["fixed_threshold"]["iou"] == 0.5
    if "wsolevaluation" in protocols:
        wsol = result["protocols"]["wsolevaluation"]
        assert wsol["step"] == 0.1
        assert len(wsol["rows"][0]["curve"]) == 10


def test_the_threshold_is_used(evaluate):
    """At 0.999 of the maximum nearly nothing of a smooth map is left."""

    class Smooth(FakeLocalizer):
        def __call__(self, images, class_index):
            found = super().__call__(images, class_index)
            blurred = {
                entry: np.stack([cv2.GaussianBlur(raw, (0, 0), 8) for raw in maps])
                for entry, maps in found.maps.items()
            }
            return found._replace(maps=blurred)

    figures = []
    for threshold in (0.4, 0.999):
        _, result, _ = evaluate(localizer=Smooth(), threshold=threshold)
        figures.append(rows_of(result, "fixed_threshold")[FakeLocalizer.entries[0]]["gt_known"])
    assert figures == [100.0, 0.0]


@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 9])
def test_gallery_runs_from_the_worst_to_the_best(evaluate, tmp_path, wanted):
    found, _, _ = evaluate(gallery=wanted, batch=2)
    by_iou = sorted(found.image_rows(), key=lambda row: row["seeing@layer/1:iou"])
    picked = np.linspace(0, 4, min(wanted, 5)).round().astype(int)
    drawn = sorted(int(by_iou[rank]["id"][0]) for rank in picked)
    assert [item["id"] for item in found.gallery] == ["{}.png".format(i) for i in drawn]
    files = ["gallery/{:06d}.jpg".format(index) for index in drawn]
    assert [item["file"] for item in found.gallery] == files
    if wanted:
        assert sorted(os.listdir(str(tmp_path / "out" / "gallery"))) == [f[8:] for f in files]


def test_gallery_pictures_and_records(evaluate, tmp_path):
    evaluation, _, _ = evaluate(localizer=FakeLocalizer(wrong=[1]))
    for item, row in zip(evaluation.gallery, evaluation.image_rows()):
        tile = read_image(str(tmp_path / "out" / item["file"]))
        # The picture and two maps side by side.
        assert tile.shape[1] > 2.5 * tile.shape[0]
        assert tile.std() > 20
        assert (item["id"], item["correct"]) == (row["id"], row["rank"] == 1)
        assert item["probability"] == row["probability"]
        for name in ("seeing@layer/1", "blind@layer/1"):
            assert item["ious"][name] == pytest.approx(row[name + ":iou"])
    assert [item["correct"] for item in evaluation.gallery] == [True, False, True, True, True]
    named = [(item["true_class"], item["predicted_class"]) for item in evaluation.gallery]
    assert named == [("zero", "zero"), ("one", "two"), ("two", "two"), ("3", "3"), ("4", "4")]


def test_image_rows(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    evaluation, result, localizer = evaluate(dataset, FakeLocalizer(wrong=[1], lost=[4]), batch=2)
    rows = evaluation.image_rows()
    own = ["id", "class_index", "class_name", "predicted_index", "predicted_name", "probability"]
    own += ["class_probability", "rank"]
    for entry in localizer.entries:
        own += [
            "{}:{}".format(entry_name(entry), key)
            for key in ("x0", "y0", "x1", "y1", "iou", "case", "gt_known")
        ]
    assert all(list(row) == own for row in rows)
    assert [row["id"] for row in rows] == [sample.id for sample in dataset.samples]
    assert [row["class_index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["predicted_index"] for row in rows] == [0, 2, 2, 3, 5]
    assert [row["rank"] for row in rows] == [1, 2, 1, 1, 8]
    for row in rows:
        same = row["predicted_index"] == row["class_index"]
        assert (row["probability"] == row["class_probability"]) is same
        assert 0 <= row["class_probability"] <= row["probability"] <= 1
        assert row["seeing@layer/1:gt_known"] is True
        cases = [row[name + "@layer/1:case"] for name in ("seeing", "blind")]
        assert cases == ["right", "elsewhere"]
        assert row["blind@layer/1:gt_known"] is False
        assert row["seeing@layer/1:iou"] > 0.8
    # The box is the true one as the crop has it, within a step of the map (its pixels are two wide).
    for row, sample in zip(rows, dataset.samples):
        _, moved = resize_centre_crop(read_image(sample.path), sample.boxes, 128, SIZE)
        found = [row["seeing@layer/1:" + key] for key in ("x0", "y0", "x1", "y1")]
        np.testing.assert_allclose(found, moved[0], atol=3)


def test_image_rows_without_the_fixed_protocol_are_the_predictions(evaluate):
    evaluation, _, _ = evaluate(protocols=("wsolevaluation",))
    assert list(evaluation.image_rows()[0])[-1] == "rank"


def test_image_rows_are_copies(evaluate):
    evaluation, _, _ = evaluate()
    evaluation.image_rows()[0].clear()
    assert evaluation.image_rows()[0]["id"] == "0.png"


def with_boxes(dataset, boxes, **options):
    """The data set with other boxes, by index of the sample."""
    samples = [
        dataclasses.replace(sample, boxes=boxes.get(i, sample.boxes), **options)
        for i, sample in enumerate(dataset.samples)
    ]
    return dataclasses.replace(dataset, samples=samples)


def figures_of(result):
    return json.dumps([result["classification"], result["protocols"]])


def test_boxes_over_the_border_are_clipped_and_counted(evaluate, tmp_path, caplog):
    dataset = make_dataset(tmp_path)
    width = SHAPES[1][1]
    over, outside = (-7.0, 30.0, width + 9.0, 60.0), (1000.0, 0.0, 1009.0, 5.0)
    cut = {1: ((0.0, 30.0, float(width), 60.0),)}
    raw = {1: (over, outside), 3: (outside,) + dataset.samples[3].boxes}
    with caplog.at_level(logging.WARNING):
        evaluation, expected, _ = evaluate(with_boxes(dataset, cut))
        assert (expected["boxes_clipped"], expected["boxes_outside"]) == (0, 0)
        assert not caplog.records
        found_evaluation, found, _ = evaluate(with_boxes(dataset, raw), batch=2)
    assert (found["boxes_clipped"], found["boxes_outside"]) == (1, 2)
    assert figures_of(found) == figures_of(expected)
    assert found_evaluation.image_rows() == evaluation.image_rows()
    (record,) = caplog.records
    assert "rectangles: 1 boxes reach over" in record.getMessage()
    assert "2 lie outside it and do not count; the first in 1.png" in record.getMessage()
    json.dumps(found)


def test_boxes_within_their_picture_come_through_unchanged(tmp_path):
    """Views are those of the boxes as listed: fractions, borders and boxes without area too."""
    dataset = make_dataset(tmp_path, count=2)
    height, width = SHAPES[0]
    boxes = ((0, 0, width, height), (3.25, 4.5, 17.75, 30), (0, 5, 0, 9), (6, 7, 6, 7))
    dataset = with_boxes(dataset, {0: boxes})
    localizer = FakeLocalizer()
    evaluation = Evaluation(localizer, dataset, make_plan(localizer, dataset))
    _, views, fit, _ = evaluation._load(0)
    image = read_image(dataset.samples[0].path)
    np.testing.assert_array_equal(views[0].boxes, resize_centre_crop(image, boxes, 128, SIZE)[1])
    np.testing.assert_array_equal(views[1].boxes, squash(image, boxes, 224)[1])
    assert (fit.clipped, fit.outside) == (0, 0)


def test_image_whose_boxes_all_vanish_counts_as_one_without(evaluate, tmp_path):
    dataset = make_dataset(tmp_path)
    outside = {2: ((-9.0, -9.0, -1.0, -1.0),), 4: ((500.0, 0.0, 510.0, 5.0),)}
    evaluation, found, _ = evaluate(with_boxes(dataset, outside))
    expected_evaluation, expected, _ = evaluate(with_boxes(dataset, {2: (), 4: ()}))
    assert (found["boxes_clipped"], found["boxes_outside"]) == (0, 2)
    assert figures_of(found) == figures_of(expected)
    assert rows_of(found, "fixed_threshold")[FakeLocalizer.entries[0]]["skipped"] == 2
    assert evaluation.image_rows() == expected_evaluation.image_rows()
    everywhere = dict.fromkeys(range(5), ((-9.0, -9.0, -1.0, -1.0),))
    with pytest.raises(UserError, match="at least one image with a true box"):
        evaluate(with_boxes(dataset, everywhere))


def test_pictures_of_another_size_than_declared_are_told_of(evaluate, tmp_path, caplog):
    dataset = make_dataset(tmp_path, boxed=[1, 2])
    right = [(width, height) for height, width in SHAPES]
    samples = [dataclasses.replace(s, size=size) for s, size in zip(dataset.samples, right)]
    with caplog.at_level(logging.WARNING):
        evaluate(dataclasses.replace(dataset, samples=samples))
        assert not caplog.records
        evaluate(with_boxes(dataset, {}, size=(160, 240)))
    (record,) = caplog.records
    assert "rectangles: 1 pictures with boxes are not as large" in record.getMessage()
    assert record.getMessage().endswith("the first: 2.png is 150 x 150, declared 160 x 240")


def test_an_interrupted_run_goes_on_to_the_same_numbers(tmp_path):
    """A run that ends at its third batch leaves two, which the next run takes over."""

    class Interrupted(FakeLocalizer):
        def __call__(self, images, class_index):
            if len(self.calls) == 4:
                raise KeyboardInterrupt
            return super().__call__(images, class_index)

    dataset = make_dataset(tmp_path, count=9)
    damage(dataset, 1)
    plan = make_plan(FakeLocalizer(), dataset, batch=2)
    whole = Evaluation(FakeLocalizer(), dataset, plan).run(progress=False)
    store = Store(tmp_path / "out", plan)
    with pytest.raises(KeyboardInterrupt):
        Evaluation(Interrupted(), dataset, plan).run(store, progress=False)
    assert store.done() == [0, 1]
    localizer = FakeLocalizer()
    resumed = Evaluation(localizer, dataset, plan).run(
        Store(tmp_path / "out", plan), progress=False
    )
    assert len(localizer.calls) == 2 * 3
    assert resumed.state_dict() == whole.state_dict()
    assert compute_metrics(resumed, seed=3) == compute_metrics(whole, seed=3)


def test_shards_merge_to_the_single_run_in_any_order(tmp_path):
    dataset = make_dataset(tmp_path, count=9)
    plan = make_plan(FakeLocalizer(), dataset, batch=2)
    whole = Evaluation(FakeLocalizer(wrong=[2]), dataset, plan).run(progress=False)
    shards = [
        Evaluation(FakeLocalizer(wrong=[2]), dataset, plan).run(shard=(i, 3), progress=False)
        for i in (3, 1, 2)
    ]
    merged = shards[0]
    for shard in shards[1:]:
        merged.merge(shard)
    assert json.dumps(compute_metrics(merged)) == json.dumps(compute_metrics(whole))
    assert image_rows(merged) == image_rows(whole)
    with pytest.raises(ValueError, match="picture 1 is in both"):
        merged.merge(whole)
