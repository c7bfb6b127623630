"""One batch of an evaluation: load images, run the network, score the maps.

Each protocol has its own geometry, so each has its own view of an image and its own run of the network.
Maps are of the ground-truth class, which serves GT-known, Top-1 and Top-5 localization alike. The data set
is divided into fixed batches, so interrupted runs, shards and workers give the results of one run.
"""

import contextlib
import io
import os
from typing import (
    Any,
    Dict,
    Generator,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from dgl.data.annotations import read_mask
from dgl.data.image_io import read_reduced
from dgl.data.sample import DataSet
from dgl.data.views import GEOMETRIES, WSOL_MAP_SIZE, rgb_to_bgr
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import Fusion, file_name, score_maps
from dgl.evaluation.plan import FIXED, WSOL, Plan
from dgl.evaluation.results import Results, image_key
from dgl.metrics.box_check import RAW, fit_boxes
from dgl.metrics.classification import rank_labels
from dgl.predict.postprocess import parse_normalization
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of, overlapped

Entry = Tuple[str, str]


class Task(NamedTuple):
    """What the batches of an evaluation depend on; it can be pickled."""

    arguments: Dict[str, Any]  # of a predictor, all but gpu
    dataset: DataSet
    plan: Plan
    fusions: Sequence[Fusion] = ()  # among the plan's entries
    strict: bool = False  # whether an image that cannot be read ends the run
    maps_folder: Optional[str] = None  # for the score maps as wsolevaluation reads them


class Loaded(NamedTuple):
    """One image, decoded and in the geometry of every protocol."""

    position: int  # in the data set's list
    views: List[Any]  # a dgl.data.views.View per protocol
    fit: Any  # how its boxes fit the image, a dgl.metrics.box_check.Fit
    mask: Any  # uint8 (224, 224) or None


class _Batch(NamedTuple):
    """Images of one run of the network."""

    part: Results  # of the batch; errors are added as they come up
    loaded: List[Loaded]  # the images that could be read
    predictions: List[Any]  # (logits, probability) per protocol, appended as the network runs


class _Job(NamedTuple):
    """The raw maps of one image, (h, w) by entry, to be scored; ``None`` where the network failed on it."""

    protocol: str
    image: Loaded
    view: Any
    raw: Any


class BatchRunner:
    """Runs a predictor over batches of a data set and scores its maps by every protocol.

    Args:
        predictor: :class:`~dgl.predict.predictor.Predictor`, or anything called the same way.
        task: :class:`Task`; its ``arguments`` are those of the predictor.
        workers: threads that decode, and threads that find boxes; the session runs beside both.
    """

    def __init__(self, predictor: Any, task: Task, workers: int = 2):
        self._predictor = predictor
        self._task = task
        self._plan = task.plan
        self._samples = task.dataset.samples
        self._normalization = parse_normalization(task.plan.normalize)
        self._workers = workers
        # These score single maps; the counts go into the results of each batch.
        self._evaluators = Results(task.plan)

    def run(self, chunks: Sequence[int]) -> Generator[Tuple[int, Results], None, None]:
        """Run batches by their numbers; decoding and scoring overlap with the network.

        Safe in several threads if the predictor is.

        Yields:
            (number, :class:`~dgl.evaluation.results.Results` of that batch), in the order of ``chunks``.

        Raises:
            UserError: with ``strict``, an image that cannot be read; a file cannot be written.
        """
        positions = [self._plan.positions(chunk) for chunk in chunks]
        results = overlapped(positions, self._load, self._predict, self._score, self._workers)
        with contextlib.closing(results):
            for chunk, (batch, scored) in zip(chunks, results):
                yield chunk, self._collect(batch, scored)

    def _load(self, position: int) -> Union[Loaded, Tuple[int, str]]:
        sample = self._samples[position]
        try:
            decoded = read_reduced(sample.path)
            fit = fit_boxes(sample.boxes, decoded, self._plan.boxes_frame)
            mask = None
            if self._plan.masks and sample.mask_paths:
                turn = decoded.orientation if self._plan.boxes_frame == RAW else 1
                mask = read_mask(sample.mask_paths, sample.ignore_path, WSOL_MAP_SIZE, turn)
        except UserError as error:
            if self._task.strict:
                raise
            return position, str(error)
        size = self._predictor.image_size
        boxes = decoded.to_image(fit.boxes)
        views = [GEOMETRIES[p].view(decoded.image, boxes, size) for p in self._plan.protocols]
        return Loaded(position, views, fit, mask)

    def _predict(self, images: Sequence[Any]) -> Tuple[_Batch, Iterator[_Job]]:
        """(:class:`_Batch`, :class:`_Job` of every image, protocol after protocol)."""
        batch = _Batch(Results(self._plan), [i for i in images if isinstance(i, Loaded)], [])
        for image in images:
            if not isinstance(image, Loaded):
                self._leave_out(batch.part, *image)
        return batch, self._jobs(batch)

    def _leave_out(self, part: Results, position: int, reason: str) -> None:
        part.errors.setdefault(image_key(position), (self._samples[position].id, reason))

    def _jobs(self, batch: _Batch) -> Iterator[_Job]:
        """Run the network for one protocol after the other; the jobs of the first are scored meanwhile."""
        labels = self._labels(batch.loaded)
        for number, protocol in enumerate(self._plan.protocols if batch.loaded else ()):
            views = [image.views[number] for image in batch.loaded]
            # The networks of the recipe were trained on BGR.
            inputs = np.stack([rgb_to_bgr(view.image) for view in views])
            prediction = self._predictor(inputs, labels)
            for index, reason in getattr(prediction, "failed", ()):
                position = batch.loaded[index].position
                reason = f"{self._samples[position].path}: {reason}"
                if self._task.strict:
                    raise UserError(reason)
                self._leave_out(batch.part, position, reason)
            for index, (image, view) in enumerate(zip(batch.loaded, views)):
                raw = {entry: maps[index] for entry, maps in prediction.maps.items()}
                has_failed = image_key(image.position) in batch.part.errors
                yield _Job(protocol, image, view, None if has_failed else raw)
            batch.predictions.append((prediction.logits, prediction.probability))

    def _score(self, job: _Job) -> Tuple[Dict[Entry, Any], Dict[Entry, Any]]:
        """Boxes and pixels of one image by entry; changes no evaluator, so it is safe in threads."""
        found: Dict[Entry, Any] = {}
        pixels: Dict[Entry, Any] = {}
        if job.raw is None:
            return found, pixels
        for entry, score_map in score_maps(
            job.raw, job.view.map_size, self._task.fusions, self._normalization
        ):
            evaluator = self._evaluators.localization[job.protocol, entry]
            found[entry] = evaluator.localize(score_map, job.view.boxes)
            if job.protocol == WSOL:
                if entry in self._evaluators.pixels:
                    pixel_evaluator = self._evaluators.pixels[entry]
                    pixels[entry] = pixel_evaluator.count(score_map, job.image.mask)
                if self._task.maps_folder is not None and entry in self._plan.entries:
                    self._save(self._task.maps_folder, entry, job.image.position, score_map)
        return found, pixels

    def _labels(self, loaded: Sequence[Loaded]) -> np.ndarray:
        return np.asarray([self._samples[image.position].class_index for image in loaded])

    def _collect(self, batch: _Batch, scored: Sequence[Any]) -> Results:
        """The results of one batch."""
        part = batch.part
        every = [image_key(image.position) for image in batch.loaded]
        kept = [index for index, key in enumerate(every) if key not in part.errors]
        if not kept:
            return part
        loaded, keys = [batch.loaded[index] for index in kept], [every[index] for index in kept]
        labels = self._labels(loaded)
        part.names.update(
            (key, self._samples[image.position].id) for key, image in zip(keys, loaded)
        )
        parts = [[own[index] for index in kept] for own in chunks_of(scored, len(every))]
        for number, protocol in enumerate(self._plan.protocols):
            logits, probability = (np.asarray(rows)[kept] for rows in batch.predictions[number])
            ranks = rank_labels(logits, labels)
            part.classification[protocol].add(logits, labels, keys)
            for entry in self._plan.all_entries:
                evaluator = part.localization[protocol, entry]
                more = {"ranks": ranks} if protocol == FIXED and not self._plan.selecting else {}
                evaluator.add_found([boxes[entry] for boxes, _ in parts[number]], ids=keys, **more)
                if protocol == WSOL and entry in part.pixels:
                    found = [pixels[entry] for _, pixels in parts[number]]
                    part.pixels[entry].add_found(found, ids=keys)
            if number == 0:
                best, rows = logits.argmax(axis=1), np.arange(len(kept))
                part.images.append(
                    keys,
                    class_index=labels,
                    predicted_index=best,
                    probability=probability[rows, best],
                    class_probability=probability[rows, labels],
                    rank=ranks + 1,
                    clipped=[image.fit.clipped for image in loaded],
                    outside=[image.fit.outside for image in loaded],
                    width=[image.fit.size[0] for image in loaded],
                    height=[image.fit.size[1] for image in loaded],
                )
        return part

    def _save(self, folder: str, entry: Entry, position: int, score_map: np.ndarray) -> None:
        buffer = io.BytesIO()
        np.save(buffer, score_map)
        name = self._samples[position].id + ".npy"
        path = os.path.join(folder, file_name(entry), *name.split("/"))
        write_atomically(path, buffer.getvalue())
