"""A predictor whose maps and predictions are known, its images, and an evaluation of both."""

from collections import namedtuple

import cv2
import numpy as np
from PIL import Image
from sample_images import exif_of

from dgl.data.sample import DataSet, Sample
from dgl.evaluation.loop import BatchRunner, Task, collect
from dgl.evaluation.plan import Plan, images_fingerprint
from dgl.evaluation.summary import compute_metrics, image_rows
from dgl.report import gallery as images

PROTOCOLS = ("fixed_threshold", "wsolevaluation")
SIZE, CLASSES = 112, 8
Prediction = namedtuple("Prediction", "class_index probability logits maps")
# x0, y0, x1, y1 as fractions of the image, away from its middle: turned round, none overlaps itself.
PLACES = [(0.1, 0.1, 0.45, 0.45), (0.55, 0.1, 0.9, 0.4), (0.1, 0.55, 0.4, 0.9)]
SHAPES = [(120, 200), (240, 160), (150, 150), (90, 260), (200, 130)]


class FakePredictor:
    """Maps are the brightness of the image (``seeing``) or of the image turned round (``blind``).

    The true class is predicted, with its neighbor next, except for the classes in ``wrong``, where
    the neighbor comes first, and in ``lost``, where the true class comes last.
    """

    image_size, classes = SIZE, CLASSES
    entries = [("seeing", "layer/1"), ("blind", "layer/1")]

    def __init__(self, wrong=(), lost=()):
        self.wrong, self.lost, self.calls = set(wrong), set(lost), []

    def __call__(self, images, class_index):
        self.calls.append((images, np.asarray(class_index)))
        seen = images.astype("float64").sum(axis=3)
        # Neither scale nor offset nor resolution may matter.
        small = [cv2.resize(image, (SIZE // 2, SIZE // 2)) * 0.3 - 40 for image in seen]
        maps = dict(zip(self.entries, (np.stack(small), np.stack(small)[:, ::-1, ::-1])))
        logits = np.tile(-np.arange(self.classes, dtype="float32"), (len(images), 1))
        for row, label in zip(logits, class_index):
            own = 20 if label in self.wrong else -20 if label in self.lost else 40
            row[label], row[(label + 1) % self.classes] = own, 30
        power = np.exp(logits - logits.max(axis=1, keepdims=True))
        probability = power / power.sum(axis=1, keepdims=True)
        return Prediction(np.asarray(class_index), probability, logits, maps)


def make_dataset(folder, count=5, classes=CLASSES, boxed=None):
    """Images with one bright rectangle at their true box; class = index."""
    samples = []
    for index in range(count):
        height, width = SHAPES[index % len(SHAPES)]
        place = np.array(PLACES[index % len(PLACES)]) * [width, height, width, height]
        x0, y0, x1, y1 = place.round().astype(int).tolist()
        image = np.full((height, width, 3), 10, "uint8")
        image[y0:y1, x0:x1] = (240, 120, 60)
        path = str(folder / f"{index}.png")
        cv2.imwrite(path, image[..., ::-1])
        boxes = ((x0, y0, x1, y1),) if boxed is None or index in boxed else ()
        samples.append(Sample(f"{index}.png", path, index % classes, boxes))
    return DataSet("rectangles", "folder", "val", samples, ("zero", "one", "two"), classes)


def store_turned(path, image, orientation):
    """Write an image (uint8 RGB) so that EXIF turns what is stored to it; ``orientation`` is 3, 6 or 8."""
    ways = {3: Image.ROTATE_180, 6: Image.ROTATE_90, 8: Image.ROTATE_270}
    stored = Image.fromarray(image).transpose(ways[orientation])
    stored.save(path, exif=exif_of(orientation))


def make_plan(predictor, dataset, **settings):
    """A plan with everything at its default but ``settings``."""
    values = dict(
        protocols=PROTOCOLS, entries=tuple(predictor.entries), alpha_entries=(), threshold=0.2,
        thresholds={}, selecting=False, step=0.01, batch=32, classes=predictor.classes,
        masks=any(sample.mask_paths for sample in dataset.samples), model={"mode": "fake"},
        data={"name": dataset.name, "split": dataset.split, "images": len(dataset)}, versions={},
        class_names=dataset.class_names, pictures=images_fingerprint(dataset.samples), weights="",
    )  # fmt: skip
    return Plan(**dict(values, **settings))


class Run:
    """An evaluation that was run, its metrics without intervals, and what the report draws."""

    def __init__(self, predictor, dataset, out, gallery=5, workers=2, strict=False, **settings):
        self.plan = make_plan(predictor, dataset, **settings)
        batches = BatchRunner(predictor, Task({}, dataset, self.plan, strict=strict), workers)
        self.results = collect(self.plan, dataset, batches.run, progress=False)
        self.metrics = compute_metrics(self.results, resamples=0)
        self.calls = list(predictor.calls)
        entries = predictor.entries
        positions = images.choose(self.results, entries[0], gallery)
        self.gallery = images.draw(predictor, dataset, self.results, out, positions, entries)

    def image_rows(self):
        return image_rows(self.results)


def rows_of(result, protocol):
    return {(row["method"], row["layer"]): row for row in result["protocols"][protocol]["rows"]}


def damage(dataset, *positions):
    for position in positions:
        with open(dataset.samples[position].path, "wb") as stream:
            stream.write(b"no image")
