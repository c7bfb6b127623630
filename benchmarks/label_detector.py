"""Train a small detector on the boxes of `dgl label` and on true ones, and compare the two.

A regressor of boxes, without classes, is trained on a frozen EfficientNet-Lite's activations: once on the
boxes of each folder of labels, which has those of the data set's training images, and once on the true
boxes. All share the settings that do best, with true boxes, on a fifth of the training images.
`benchmarks/labels.py detector` runs it.
"""

import json
import os
from itertools import product
from typing import NamedTuple

import numpy as np

from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import rgb_to_bgr, squash
from dgl.labeling.labels import box_iou
from dgl.labeling.store import read_header, read_images
from dgl.utils.parallel import chunks_of, ordered_map

IOUS = (0.5, 0.7)
RESAMPLES = 1000
_FOLDS = 5


def interval(values, resamples=RESAMPLES):
    """The 95 % interval of a mean, in percent, by bootstrap over images."""
    values = np.asarray(values, float)
    picks = np.random.RandomState(0).randint(0, len(values), (resamples, len(values)))
    return [float(end) for end in np.percentile(100 * values[picks].mean(axis=1), (2.5, 97.5))]


def activations(args, paths):
    """(N, h, w, C) float32 activations of a frozen network, and those of the mirrored images."""
    from dgl.backbones import BuildOptions, get_backbone
    from dgl.predict.frozen import build_inference
    from dgl.tf_compat import tf
    from dgl.weights import open_weights, options_from

    backbone = get_backbone(args.mode)
    checkpoint = open_weights(backbone, args.mode)
    options = options_from(backbone, checkpoint)
    assert isinstance(options, BuildOptions)
    size = backbone.image_size
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.uint8, [None, size, size, 3])
        network = build_inference(backbone, checkpoint, fed, options, 0)
        layer = network.endpoints[backbone.layer_name(args.layer or 1)]
        with tf.Session() as session:
            found = []
            for chunk in chunks_of(paths, 8):
                views = list(ordered_map(lambda path: squash(read_image(path), (), size)[0], chunk))
                images = rgb_to_bgr(np.stack(views))
                own = [session.run(layer, {fed: one}) for one in (images, images[:, :, ::-1])]
                found.append(own)
    return [np.concatenate(parts) for parts in zip(*found)]


def fractions_of(box, size):
    """Box in pixels -> (x0, y0, x1, y1) as fractions of the image."""
    return np.asarray(box, float) / np.tile(size, 2)


def mirrored(boxes):
    """Boxes in fractions, mirrored left to right."""
    return np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)


class Settings(NamedTuple):
    """Of the regressor: principal components, penalty, and preference for places that are surely inside."""

    components: int
    ridge: float
    sharpness: float


TRIED = tuple(Settings(*one) for one in product((32, 64), (10.0, 100.0), (3.0, 6.0)))


class Regressor:
    """Boxes from activations by linear models of each place: is it in the box, and how far are the sides?

    A place is described by principal components of its channels and of its eight neighbors'. The box of an
    image is the mean of the boxes of its places, weighted by how much each is inside.
    """

    def __init__(self, maps, boxes, settings):
        from sklearn.decomposition import PCA
        from sklearn.linear_model import Ridge

        pixels = np.concatenate([one.reshape(-1, one.shape[-1]) for one in maps])
        picked = np.random.RandomState(0).permutation(len(pixels))[:20000]
        self._pca = PCA(min(settings.components, pixels.shape[1]), random_state=0).fit(
            pixels[picked]
        )
        self._scale = float(self._pca.transform(pixels[picked]).std())
        places = np.concatenate([self._places(one) for one in maps])
        sides = np.concatenate([_sides(one, maps[0].shape) for one in (boxes, mirrored(boxes))])
        inside = sides.min(axis=-1) > 0
        self._sharpness = settings.sharpness
        self._inside = Ridge(settings.ridge).fit(
            places.reshape(-1, places.shape[-1]), inside.ravel()
        )
        self._sides = Ridge(settings.ridge).fit(places[inside], sides[inside])

    def _places(self, maps):
        count, height, width, channels = maps.shape
        parts = self._pca.transform(maps.reshape(-1, channels)) / self._scale
        parts = np.pad(
            parts.reshape(count, height, width, -1).astype(np.float32),
            ((0, 0), (1, 1), (1, 1), (0, 0)),
        )
        around = [(row, column) for row in range(3) for column in range(3)]
        return np.concatenate([parts[:, y : y + height, x : x + width] for y, x in around], axis=-1)

    def __call__(self, maps):
        """(N, 4) boxes in fractions; of an image and its mirror image the mean."""
        found = []
        for side, one in enumerate(maps):
            places = self._places(one)
            flat = places.reshape(-1, places.shape[-1])
            weights = self._inside.predict(flat).reshape(one.shape[:3])
            weights = np.exp(self._sharpness * (weights - weights.max(axis=(1, 2), keepdims=True)))
            weights /= weights.sum(axis=(1, 2), keepdims=True)
            sides = self._sides.predict(flat).reshape((*one.shape[:3], 4))
            boxes = _centers(one.shape) + sides * (-1, -1, 1, 1)
            boxes = (boxes * weights[..., np.newaxis]).sum(axis=(1, 2))
            found.append(mirrored(boxes) if side else boxes)
        return np.clip(np.mean(found, axis=0), 0, 1)


def _centers(shape):
    """(h, w, 4) of (x, y, x, y): the centers of the places as fractions of the image."""
    y, x = [(np.arange(side) + 0.5) / side for side in shape[1:3]]
    x, y = np.meshgrid(x, y)
    return np.stack([x, y, x, y], axis=-1)


def _sides(boxes, shape):
    """(N, h, w, 4): distances of each place from the four sides of its image's box, negative outside."""
    return (boxes[:, np.newaxis, np.newaxis] - _centers(shape)) * (-1, -1, 1, 1)


def choose(maps, boxes):
    """The settings with the most boxes right at IoU 0.5 on every fifth image, trained on the others."""
    held = np.arange(len(boxes)) % _FOLDS == 0

    def right(settings):
        regress = Regressor([one[~held] for one in maps], boxes[~held], settings)
        found = regress([one[held] for one in maps])
        return np.mean([box_iou(*pair) >= IOUS[0] for pair in zip(found, boxes[held])])

    return max(TRIED, key=right)


def measure_detector(args):
    """A regressor trained on the boxes of each folder, and on the true ones, on the test images."""
    train = [s for s in load_data(args.data, "train").samples if s.boxes]
    test = [s for s in load_data(args.data, "test").samples if s.boxes]
    cache = args.features and os.path.join(args.features, f"{args.mode}_{args.layer or 1}.npz")
    if cache and os.path.exists(cache):
        stored = np.load(cache)
        maps, test_maps = ([stored[f"{split}{i}"] for i in (0, 1)] for split in ("train", "test"))
    else:
        maps = activations(args, [one.path for one in train])
        test_maps = activations(args, [one.path for one in test])
        if cache:
            named = {f"train{i}": one for i, one in enumerate(maps)}
            np.savez(cache, **named, **{f"test{i}": one for i, one in enumerate(test_maps)})
    sizes = {one.path: np.array(read_image(one.path).shape[1::-1]) for one in train + test}
    truths = {one.path: one.boxes[0] for one in train}
    sources = {"true boxes": truths}
    for folder in args.labels:
        header = read_header(folder)
        root, own, method = header.data["path"], {}, header.network["method"]
        for labels in read_images(folder):
            if labels.objects:
                own[os.path.join(root, *labels.image.split("/"))] = labels.objects[0].box
        name = "masks" if header.options["masks"] else "boxes"
        sources[name if method == "dgl" else f"{name} of {method}"] = own
    whole = np.stack([fractions_of(truths[one.path], sizes[one.path]) for one in train])
    settings = choose(maps, whole)
    rows, found = [], {}
    for name, own in sources.items():
        rows_of = [i for i, one in enumerate(train) if one.path in own]
        boxes = np.stack([fractions_of(own[train[i].path], sizes[train[i].path]) for i in rows_of])
        regress = Regressor([one[rows_of] for one in maps], boxes, settings)
        predicted = regress(test_maps)
        found[name] = np.array([
            max(box_iou(box * np.tile(sizes[one.path], 2), true) for true in one.boxes)
            for box, one in zip(predicted, test)
        ])  # fmt: skip
        labels_iou = [box_iou(own[train[i].path], truths[train[i].path]) >= 0.5 for i in rows_of]
        row = {
            "trained_on": name,
            "images": len(rows_of),
            "labels_right": 100 * float(np.mean(labels_iou)),
        }
        for least in IOUS:
            row[f"iou_{least}"] = 100 * float((found[name] >= least).mean())
            row[f"iou_{least}_interval"] = interval(found[name] >= least)
        row["mean_iou"] = 100 * float(found[name].mean())
        rows.append(row)
        print(json.dumps(row))
    full = found["true boxes"]
    for row in rows:
        own = found[row["trained_on"]]
        picks = np.random.RandomState(0).randint(0, len(full), (RESAMPLES, len(full)))
        ratio = (own[picks] >= 0.5).mean(axis=1) / (full[picks] >= 0.5).mean(axis=1)
        row["of_full_supervision"] = 100 * float((own >= 0.5).mean() / (full >= 0.5).mean())
        row["of_full_supervision_interval"] = [
            float(100 * e) for e in np.percentile(ratio, (2.5, 97.5))
        ]
    return {
        "data": os.path.basename(args.data),
        "test_images": len(test),
        "mode": args.mode,
        "settings": settings._asdict(),
        "rows": rows,
    }
