"""The loop of `dgl label`: load images, run the network, find the objects in its maps."""

import contextlib
import dataclasses
import os
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from dgl.data.image_io import read_reduced
from dgl.data.views import rgb_to_bgr, squash
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import Fusion, score_maps
from dgl.labeling import masks
from dgl.labeling.confidence import Model, describe
from dgl.labeling.inputs import Item
from dgl.labeling.labels import ImageLabels, LabeledObject
from dgl.labeling.objects import ObjectOptions, find_regions, working_size
from dgl.predict.grabcut import seeds_at, small_image
from dgl.predict.postprocess import MINMAX, Normalization, score_map
from dgl.utils.parallel import chunks_of, overlapped


class LabelOptions(NamedTuple):
    """How images are labeled."""

    objects: ObjectOptions  # which regions of a map are objects
    with_masks: bool = False  # whether regions are refined on the image's edges
    top: int = 1  # the number of classes to localize in an image without a label
    min_probability: float = 0.0  # of such a class
    normalization: Normalization = MINMAX  # how maps are brought to [0, 1]


class _Loaded(NamedTuple):
    """An image as the network takes it, and GrabCut where it is used."""

    item: Item
    width: int
    height: int
    view: np.ndarray
    small: Optional[np.ndarray]


class _Finding(NamedTuple):
    """One class in one image: the network's index, its probability, and the raw map."""

    class_index: int
    probability: float
    raw: np.ndarray


class _Job(NamedTuple):
    """An image whose maps are computed."""

    loaded: _Loaded
    findings: List[_Finding]
    best_probability: float


@dataclasses.dataclass(frozen=True)
class Labeler:
    """Labels images with a predictor."""

    predictor: Any  # a `Predictor`, whose first entry gives the objects
    options: LabelOptions
    classes: Sequence[str]  # names of the objects' classes
    fusions: Sequence[Fusion] = ()  # at most one, whose map is taken in place of the first entry's
    model: Optional[Model] = None  # that the confidences are computed with, if any
    masks_folder: Optional[str] = None  # where the masks are written to, if anywhere
    # Threads that decode, and threads that find objects; `None` is one per core.
    workers: Optional[int] = None

    def run(self, items: Sequence[Item], batch: int) -> Iterator[List[ImageLabels]]:
        """Yield the labels of one batch after another, in the order of the items.

        Each batch is one run of the network; of the same batch always the same labels come out.
        """
        chunks = chunks_of(items, batch)
        batches = overlapped(chunks, self._load, self._predict, self._find, self.workers)
        with contextlib.closing(batches):
            for _, found in batches:
                yield found

    def _load(self, item: Item) -> Union[_Loaded, ImageLabels]:
        """The image, or labels that say why it cannot be read."""
        try:
            decoded = read_reduced(item.path)
        except UserError as error:
            return ImageLabels(item.image, error=str(error))
        view = squash(decoded.image, (), self.predictor.image_size)[0]
        small = small_image(decoded.image) if self.options.with_masks else None
        return _Loaded(item, *decoded.size, view, small)

    def _predict(
        self, batch: List[Union[_Loaded, ImageLabels]]
    ) -> Tuple[None, List[Union[_Job, ImageLabels]]]:
        """A batch with maps in place of the images that were read."""
        readable = [one for one in batch if isinstance(one, _Loaded)]
        jobs = self._jobs(readable) if readable else iter(())
        return None, [next(jobs) if isinstance(one, _Loaded) else one for one in batch]

    def _jobs(self, readable: List[_Loaded]) -> Iterator[Union[_Job, ImageLabels]]:
        """Each image's maps of its classes, or labels that say why it has none."""
        views = rgb_to_bgr(np.stack([one.view for one in readable]))
        targets = [one.item.target for one in readable]
        first = self.predictor(views, None if None in targets else targets)
        best = first.logits.argmax(axis=1)
        if None in targets and any(target is not None for target in targets):
            mixed = [own if t is None else t for t, own in zip(targets, best.tolist())]
            first = self.predictor(views, mixed)
        predictions = [first] + self._lower_ranks(readable, views, first)
        failed = {place: why for made in predictions for place, why in made.failed}
        for i, one in enumerate(readable):
            if i in failed:
                yield ImageLabels(one.item.image, error=f"{one.item.path}: {failed[i]}")
                continue
            found = [self._finding(prediction, i) for prediction in predictions]
            if one.item.label is None:
                found = [f for f in found if f.probability >= self.options.min_probability]
            else:
                found = found[:1]
            yield _Job(one, found, float(first.probability[i, best[i]]))

    def _lower_ranks(self, readable: List[_Loaded], views: np.ndarray, first: Any) -> List[Any]:
        """Predictions of the second class of each image, the third, ... as long as one is probable."""
        top = min(self.options.top, first.logits.shape[1])
        if top < 2 or all(one.item.label is not None for one in readable):
            return []
        ranked = np.argsort(-first.logits, axis=1, kind="stable")
        rows = np.arange(len(readable))
        predictions = []
        for rank in range(1, top):
            if first.probability[rows, ranked[:, rank]].max() < self.options.min_probability:
                break
            predictions.append(self.predictor(views, list(ranked[:, rank])))
        return predictions

    def _finding(self, prediction: Any, i: int) -> _Finding:
        class_index = int(prediction.class_index[i])
        maps = {entry: raw[i] for entry, raw in prediction.maps.items()}
        entry = self.predictor.entries[0]
        if self.fusions:
            # At the side of the square input, as an evaluation fuses them.
            normalization = self.options.normalization
            maps = dict(score_maps(maps, self.predictor.image_size, self.fusions, normalization))
            entry = self.fusions[0].entry
        return _Finding(class_index, float(prediction.probability[i, class_index]), maps[entry])

    def _find(self, job: Union[_Job, ImageLabels]) -> ImageLabels:
        if isinstance(job, ImageLabels):
            return job
        loaded, item = job.loaded, job.loaded.item
        pairs = [pair for finding in job.findings for pair in self._objects(job, finding)]
        pairs.sort(key=lambda pair: -(pair[0].confidence or 0.0))
        if self.masks_folder is not None:
            path = os.path.join(self.masks_folder, *(item.image + ".png").split("/"))
            masks.write_png(path, [mask for _, mask in pairs], loaded.width, loaded.height)
        objects = tuple(found for found, _ in pairs)
        return ImageLabels(item.image, loaded.width, loaded.height, item.label, objects)

    def _objects(self, job: _Job, finding: _Finding) -> Iterator[Tuple[LabeledObject, Any]]:
        """The objects in one map, each with its mask in the image's pixels, or ``None``."""
        if finding.raw.max() <= 0:
            return  # nothing speaks for the class
        loaded, options = job.loaded, self.options
        columns, rows = working_size(loaded.width, loaded.height)
        # A fused map is normalized already.
        normalization = MINMAX if self.fusions else options.normalization
        score = score_map(finding.raw, rows, columns, normalization)
        regions = find_regions(score, options.objects)
        class_index = finding.class_index if loaded.item.label is None else loaded.item.label
        for region in regions:
            mask: Optional[masks.Mask] = None
            if loaded.small is not None:
                others = np.any([other.mask for other in regions], axis=0) & ~region.mask
                seeds = seeds_at(options.objects.threshold)
                mask = masks.refine(loaded.small, score, region, others, seeds)
            features = describe(
                score, region, regions, options.objects, finding.probability, job.best_probability, mask
            )  # fmt: skip
            pixels = None if mask is None else masks.full_size(mask, loaded.width, loaded.height)
            box: Sequence[float] = region.box
            scale = (loaded.width / columns, loaded.height / rows)
            if pixels is not None and pixels.any():
                x, y, width, height = cv2.boundingRect(pixels.view(np.uint8))
                box, scale = (x, y, x + width, y + height), (1.0, 1.0)
            x0, y0, x1, y1 = (round(side * scale[i % 2], 2) for i, side in enumerate(box))
            found = LabeledObject(
                box=(x0, y0, max(x1, x0 + 0.01), max(y1, y0 + 0.01)),
                class_index=class_index,
                class_name=self.classes[class_index],
                score_mean=round(region.score_mean, 4),
                score_max=round(region.score_max, 4),
                probability=round(finding.probability, 4),
                confidence=None if self.model is None else self.model.confidence(features),
                polygons=None if pixels is None else masks.outline(pixels),
                features=features,
            )
            yield found, pixels
