"""The batch evaluation: a predictor over a data set, by both protocols, a batch at a time.

Each protocol has its own geometry, so each has its own view of an image and its own run of the network.
Maps are of the ground-truth class, which serves GT-known, Top-1 and Top-5 localization alike. The batches
are a fixed division of the data set, so a run that was interrupted, and shards or workers that share the
batches out, give what one run gives.
"""

import contextlib
import io
import os
from typing import Any, Generator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.data.annotations import read_mask
from dgl.data.image_io import read_image
from dgl.data.sample import DataSet
from dgl.data.views import GEOMETRIES, WSOL_MAP_SIZE, rgb_to_bgr
from dgl.errors import UserError
from dgl.evaluation.collect import gather
from dgl.evaluation.fusion import Fusion, file_name, score_maps
from dgl.evaluation.plan import FIXED, WSOL, Plan
from dgl.evaluation.results import Gathered, image_key
from dgl.evaluation.store import Store
from dgl.metrics.box_check import fit_boxes
from dgl.metrics.classification import rank_labels
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of, overlapped


class Loaded(NamedTuple):
    """One image, read and brought into every protocol's geometry.

    Attributes:
        position: its place in the data set's list.
        views: a :class:`~dgl.data.views.View` a protocol.
        fit: how its boxes fit it.
        mask: uint8 (224, 224) or ``None``.
    """

    position: int
    views: List[Any]
    fit: Any
    mask: Any


class _Batch(NamedTuple):
    """Images of one run of the network: those read, (position, reason) of those not, what it said.

    ``predictions`` is (logits, probability) a protocol, filled in as the network runs.
    """

    loaded: List[Loaded]
    unread: List[Any]
    predictions: List[Any]


class _Job(NamedTuple):
    """One image's maps, to find boxes in: ``raw`` is entry -> (h, w)."""

    protocol: str
    picture: Loaded
    view: Any
    raw: Any


class Evaluation:
    """Runs a predictor over a data set and gathers what both protocols say.

    Args:
        predictor: :class:`~dgl.predict.predictor.Predictor`, or anything called the same way.
        dataset: :class:`~dgl.data.sample.DataSet`.
        plan: :class:`~dgl.evaluation.plan.Plan`.
        fusions: sequence of :class:`~dgl.evaluation.fusion.Fusion` among the plan's entries.
        workers: threads that decode, and threads that find boxes; the session runs beside both.
        strict: whether an image that cannot be read ends the run.
        maps_folder: folder for the score maps as wsolevaluation reads them, or ``None``.
    """

    def __init__(
        self,
        predictor: Any,
        dataset: DataSet,
        plan: Plan,
        fusions: Sequence[Fusion] = (),
        workers: int = 2,
        strict: bool = False,
        maps_folder: Optional[str] = None,
    ):
        self._predictor = predictor
        self._dataset = dataset
        self._plan = plan
        self._fusions = list(fusions)
        self._workers = workers
        self._strict = strict
        self._maps_folder = maps_folder
        # Asked what single maps give; what is counted goes into those of each batch.
        self._evaluators = Gathered(plan)

    def run(
        self, store: Optional[Store] = None, shard: Tuple[int, int] = (1, 1), progress: bool = True
    ) -> Gathered:
        """Go through the data set, or through one shard of it, in this process.

        Arguments, result and errors: :func:`dgl.evaluation.collect.gather`.
        """
        return gather(self._plan, self._dataset, self.parts, store, shard, progress)

    def parts(self, chunks: Sequence[int]) -> Generator[Tuple[int, Gathered], None, None]:
        """Run batches, decoding and finding boxes beside the session.

        Safe in several threads at once where the predictor is.

        Args:
            chunks: list of int, numbers of batches.

        Yields:
            (number, :class:`~dgl.evaluation.results.Gathered` of that batch), in the order of ``chunks``.

        Raises:
            UserError: with ``strict``, an image that cannot be read; a file cannot be written.
        """
        positions = [self._plan.positions(chunk) for chunk in chunks]
        results = overlapped(positions, self._load, self._predict, self._look, self._workers)
        with contextlib.closing(results):
            for chunk, (batch, looked) in zip(chunks, results):
                yield chunk, self._gather(batch, looked)

    def _load(self, position):
        sample = self._dataset.samples[position]
        try:
            image = read_image(sample.path)
            fit = fit_boxes(sample.boxes, image)
            mask = None
            if self._plan.masks and sample.mask_paths:
                mask = read_mask(sample.mask_paths, sample.ignore_path, WSOL_MAP_SIZE)
        except UserError as error:
            if self._strict:
                raise
            return position, str(error)
        size = self._predictor.image_size
        views = [GEOMETRIES[p].view(image, fit.boxes, size) for p in self._plan.protocols]
        return Loaded(position, views, fit, mask)

    def _predict(self, pictures):
        """(:class:`_Batch`, :class:`_Job` of every image, protocol after protocol)."""
        batch = _Batch(
            loaded=[picture for picture in pictures if isinstance(picture, Loaded)],
            unread=[picture for picture in pictures if not isinstance(picture, Loaded)],
            predictions=[],
        )
        return batch, self._jobs(batch)

    def _jobs(self, batch):
        """Run the network for one protocol, then for the next: boxes are found meanwhile."""
        labels = self._labels(batch)
        for number, protocol in enumerate(self._plan.protocols if batch.loaded else ()):
            views = [picture.views[number] for picture in batch.loaded]
            # The networks of the recipe were trained on BGR.
            images = np.stack([rgb_to_bgr(view.image) for view in views])
            prediction = self._predictor(images, labels)
            for index, (picture, view) in enumerate(zip(batch.loaded, views)):
                raw = {entry: maps[index] for entry, maps in prediction.maps.items()}
                yield _Job(protocol, picture, view, raw)
            batch.predictions.append((prediction.logits, prediction.probability))

    def _look(self, job):
        """Entry -> what its map gives, for one image; changes nothing and is safe in threads."""
        found, pixels = {}, {}
        for entry, score_map in score_maps(job.raw, job.view.map_size, self._fusions):
            evaluator = self._evaluators.localization[job.protocol, entry]
            found[entry] = evaluator.localize(score_map, job.view.boxes)
            if job.protocol == WSOL:
                if entry in self._evaluators.pixels:
                    pixel_evaluator = self._evaluators.pixels[entry]
                    pixels[entry] = pixel_evaluator.count(score_map, job.picture.mask)
                if self._maps_folder is not None and entry in self._plan.entries:
                    self._save(entry, job.picture.position, score_map)
        return found, pixels

    def _labels(self, batch):
        samples = [self._dataset.samples[picture.position] for picture in batch.loaded]
        return np.asarray([sample.class_index for sample in samples])

    def _gather(self, batch, looked):
        """The :class:`Gathered` of one batch."""
        part = Gathered(self._plan)
        for position, reason in batch.unread:
            part.errors[image_key(position)] = (self._dataset.samples[position].id, reason)
        if not batch.loaded:
            return part
        keys = [image_key(picture.position) for picture in batch.loaded]
        samples = [self._dataset.samples[picture.position] for picture in batch.loaded]
        labels = self._labels(batch)
        part.names.update((key, sample.id) for key, sample in zip(keys, samples))
        parts = chunks_of(looked, len(batch.loaded))
        for number, protocol in enumerate(self._plan.protocols):
            logits, probability = batch.predictions[number]
            ranks = rank_labels(logits, labels)
            part.classification[protocol].add(logits, labels, keys)
            self._localize(part, protocol, parts[number], ranks, keys)
            if number == 0:
                self._record(part, batch.loaded, labels, logits, probability, ranks, keys)
        return part

    def _localize(self, part, protocol, looked, ranks, keys):
        for entry in self._plan.all_entries:
            evaluator = part.localization[protocol, entry]
            found = [image[entry] for image, _ in looked]
            if protocol == FIXED and not self._plan.selecting:
                evaluator.add_found(found, ranks=ranks, ids=keys)
            else:
                evaluator.add_found(found, ids=keys)
            if protocol == WSOL and entry in part.pixels:
                part.pixels[entry].add_found([pixels[entry] for _, pixels in looked], ids=keys)

    def _record(self, part, loaded, labels, logits, probability, ranks, keys):
        best = logits.argmax(axis=1)
        rows = np.arange(len(best))
        part.pictures.append(
            keys,
            class_index=labels,
            predicted_index=best,
            probability=probability[rows, best],
            class_probability=probability[rows, labels],
            rank=ranks + 1,
            clipped=[picture.fit.clipped for picture in loaded],
            outside=[picture.fit.outside for picture in loaded],
            width=[picture.fit.size[0] for picture in loaded],
            height=[picture.fit.size[1] for picture in loaded],
        )

    def _save(self, entry, position, score_map):
        buffer = io.BytesIO()
        np.save(buffer, score_map)
        name = self._dataset.samples[position].id + ".npy"
        path = os.path.join(self._maps_folder, file_name(entry), *name.split("/"))
        write_atomically(path, buffer.getvalue())
