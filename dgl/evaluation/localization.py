"""The batch evaluation: a localizer over a data set, by both protocols, a batch at a time.

Each protocol has its own geometry, so each has its own view of a picture and its own run of the network.
Maps are of the ground-truth class, which serves GT-known, Top-1 and Top-5 localization alike. The batches
are a fixed division of the data set, so a run that was interrupted, and shards that share the batches out,
give what one run gives.
"""

import io
import logging
import os
from typing import Any, List, NamedTuple

import numpy as np
from tqdm import tqdm

from dgl.data.image_io import read_image
from dgl.data.masks import read_mask
from dgl.data.views import GEOMETRIES, WSOL_MAP_SIZE
from dgl.errors import UserError
from dgl.evaluation.box_check import BoxCheck, fit_boxes
from dgl.evaluation.classification import rank_labels
from dgl.evaluation.entries import file_name, score_maps
from dgl.evaluation.gathered import Gathered, picture_key
from dgl.evaluation.plan import FIXED, WSOL
from dgl.files import write_atomically
from dgl.parallel import ordered_map

_logger = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """One picture, read and brought into every protocol's geometry.

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


class Evaluation(object):
    """Runs a localizer over a data set and gathers what both protocols say.

    Args:
        localizer: :class:`~dgl.localizer.Localizer`, or anything called the same way.
        dataset: :class:`~dgl.data.sample.DataSet`.
        plan: :class:`~dgl.evaluation.plan.Plan`.
        fusions: sequence of :class:`~dgl.evaluation.entries.Fusion` among the plan's entries.
        workers: threads that decode and that find boxes.
        strict: whether a picture that cannot be read ends the run.
        maps_folder: folder for the score maps as wsolevaluation reads them, or ``None``.
    """

    def __init__(
        self, localizer, dataset, plan, fusions=(), workers=2, strict=False, maps_folder=None
    ):
        self._localizer = localizer
        self._dataset = dataset
        self._plan = plan
        self._fusions = list(fusions)
        self._workers = workers
        self._strict = strict
        self._maps_folder = maps_folder
        self._box_check = BoxCheck()

    def run(self, store=None, shard=(1, 1), progress=True):
        """Go through the data set, or through one shard of it.

        Args:
            store: :class:`~dgl.evaluation.store.Store` of unfinished results, or ``None`` to keep
                none: batches it holds are not run again, and every other one is kept in it.
            shard: ``(i, n)``: every n-th batch, from the i-th on.
            progress: bool, whether to show a progress bar.

        Returns:
            :class:`~dgl.evaluation.gathered.Gathered`.

        Raises:
            UserError: with ``strict``, a picture that cannot be read; no picture at all can be; a
                file cannot be written.
        """
        plan = self._plan
        gathered = Gathered(plan)
        index, count = shard
        chunks = list(range(index - 1, plan.chunks, count))
        done = self._restore(gathered, store, chunks)
        wanted = [chunk for chunk in chunks if chunk not in done]
        total = sum(len(self._positions(chunk)) for chunk in chunks)
        description = "selection" if plan.selecting else "evaluation"
        with tqdm(
            total=total,
            initial=len(gathered),
            unit=" images",
            desc=description,
            disable=not progress,
        ) as bar:
            for chunk, pictures in self._batches(wanted):
                part = self._evaluate(pictures)
                if store is not None:
                    store.write(chunk, part)
                gathered.merge(part)
                bar.update(len(pictures))
        self._box_check.log(self._dataset.name)
        if total and not gathered.names:
            key, (name, reason) = next(iter(gathered.errors.items()))
            raise UserError(
                "none of {} pictures can be read; the first: {}".format(len(gathered), reason)
            )
        return gathered

    def _restore(self, gathered, store, chunks):
        """Take over the batches of this shard that a store holds; returns their numbers."""
        done = set()
        for chunk in store.done() if store is not None else ():
            if chunk not in chunks:
                continue
            try:
                gathered.merge(store.read(chunk))
                done.add(chunk)
            except UserError as error:
                _logger.warning("%s; the batch is run again", error)
        if done:
            _logger.warning(
                "going on after %d of %d images that are there already",
                len(gathered),
                sum(len(self._positions(chunk)) for chunk in chunks),
            )
        return done

    def _positions(self, chunk):
        start = chunk * self._plan.batch
        return range(start, min(start + self._plan.batch, len(self._dataset.samples)))

    def _batches(self, chunks):
        """Yields (chunk, list of :class:`Loaded` or (position, error)), decoding ahead in threads."""
        positions = [position for chunk in chunks for position in self._positions(chunk)]
        loaded = ordered_map(self._load, positions, self._workers)
        for chunk in chunks:
            yield chunk, [next(loaded) for _ in self._positions(chunk)]

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
        size = self._localizer.image_size
        views = [GEOMETRIES[p].view(image, fit.boxes, size) for p in self._plan.protocols]
        return Loaded(position, views, fit, mask)

    def _evaluate(self, pictures):
        """The :class:`Gathered` of one batch."""
        part = Gathered(self._plan)
        loaded = [picture for picture in pictures if isinstance(picture, Loaded)]
        for picture in pictures:
            if not isinstance(picture, Loaded):
                position, reason = picture
                name = self._dataset.samples[position].id
                part.errors[picture_key(position)] = (name, reason)
                _logger.warning("left out: %s", reason)
        if not loaded:
            return part
        keys = [picture_key(picture.position) for picture in loaded]
        samples = [self._dataset.samples[picture.position] for picture in loaded]
        labels = np.asarray([sample.class_index for sample in samples])
        part.names.update((key, sample.id) for key, sample in zip(keys, samples))
        for number, protocol in enumerate(self._plan.protocols):
            views = [picture.views[number] for picture in loaded]
            # The networks of the recipe were trained on BGR.
            images = np.stack([view.image[..., ::-1] for view in views])
            prediction = self._localizer(images, labels)
            ranks = rank_labels(prediction.logits, labels)
            part.classification[protocol].add(prediction.logits, labels, keys)
            self._localize(part, protocol, loaded, views, prediction, ranks, keys)
            if number == 0:
                self._record(part, loaded, samples, prediction, ranks, keys)
        return part

    def _localize(self, part, protocol, loaded, views, prediction, ranks, keys):
        plan = self._plan

        def look(index):
            """entry -> what its map gives, for one picture."""
            raw = {entry: maps[index] for entry, maps in prediction.maps.items()}
            view, found, pixels = views[index], {}, {}
            for entry, score_map in score_maps(raw, view.map_size, self._fusions):
                found[entry] = part.localization[protocol, entry].localize(score_map, view.boxes)
                if protocol == WSOL and entry in part.pixels:
                    pixels[entry] = part.pixels[entry].count(score_map, loaded[index].mask)
                if protocol == WSOL and self._maps_folder is not None and entry in plan.entries:
                    self._save(entry, loaded[index].position, score_map)
            return found, pixels

        looked = list(ordered_map(look, range(len(views)), self._workers))
        for entry in plan.all_entries:
            evaluator = part.localization[protocol, entry]
            found = [image[entry] for image, _ in looked]
            if protocol == FIXED and not plan.selecting:
                evaluator.add_found(found, ranks=ranks, ids=keys)
            else:
                evaluator.add_found(found, ids=keys)
            if protocol == WSOL and entry in part.pixels:
                part.pixels[entry].add_found([pixels[entry] for _, pixels in looked], ids=keys)

    def _record(self, part, loaded, samples, prediction, ranks, keys):
        best = prediction.logits.argmax(axis=1)
        rows = np.arange(len(best))
        labels = [sample.class_index for sample in samples]
        part.pictures.append(
            keys,
            class_index=labels,
            predicted_index=best,
            probability=prediction.probability[rows, best],
            class_probability=prediction.probability[rows, labels],
            rank=ranks + 1,
            clipped=[picture.fit.clipped for picture in loaded],
            outside=[picture.fit.outside for picture in loaded],
            width=[picture.fit.size[0] for picture in loaded],
            height=[picture.fit.size[1] for picture in loaded],
        )
        for sample, picture in zip(samples, loaded):
            self._box_check.add(sample, picture.fit)

    def _save(self, entry, position, score_map):
        buffer = io.BytesIO()
        np.save(buffer, score_map)
        name = self._dataset.samples[position].id + ".npy"
        path = os.path.join(self._maps_folder, file_name(entry), *name.split("/"))
        write_atomically(path, buffer.getvalue())
