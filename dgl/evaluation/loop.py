"""The loop of an evaluation: load images, run the network, score the maps, store the results.

Each protocol has its own geometry, so each has its own view of an image and its own run of the network.
Maps are of the ground-truth class, which serves GT-known, Top-1 and Top-5 localization alike. The data set
is divided into fixed batches, so interrupted runs, shards and workers give the results of one run.
"""

import contextlib
import io
import logging
import os
from argparse import Namespace
from typing import (
    Any,
    Callable,
    Dict,
    Generator,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

import numpy as np
from tqdm import tqdm

from dgl.data.annotations import read_mask
from dgl.data.image_io import read_reduced
from dgl.data.labels import OffsetCheck
from dgl.data.sample import DataSet
from dgl.data.views import GEOMETRIES, WSOL_MAP_SIZE, View, rgb_to_bgr
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import Fusion, file_name, score_maps
from dgl.evaluation.plan import FIXED, WSOL, Plan, predictor_arguments
from dgl.evaluation.results import Results, Store, image_key
from dgl.metrics.box_check import RAW, Fit, fit_boxes, warn_of_misfits
from dgl.metrics.classification import rank_labels
from dgl.predict.postprocess import parse_normalization
from dgl.utils.devices import FLOAT32
from dgl.utils.files import write_atomically
from dgl.utils.parallel import chunks_of, overlapped

_logger = logging.getLogger(__name__)

Entry = Tuple[str, str]
RunBatches = Callable[[List[int]], Generator[Tuple[int, Results], None, None]]


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
    views: Dict[str, View]  # by protocol
    fit: Fit  # how its boxes fit the image
    mask: Optional[np.ndarray]  # uint8 (224, 224)


class _Batch(NamedTuple):
    """Images of one run of the network."""

    part: Results  # of the batch; errors are added as they come up
    loaded: List[Loaded]  # the images that could be read
    predictions: Dict[str, Any]  # (logits, probability) by protocol, added as the network runs


class _Job(NamedTuple):
    """The raw maps of one image, (h, w) by entry, to be scored; ``None`` where the network failed on it."""

    protocol: str
    image: Loaded
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
        views = {p: GEOMETRIES[p].view(decoded.image, boxes, size) for p in self._plan.protocols}
        return Loaded(position, views, fit, mask)

    def _predict(self, images: Sequence[Any]) -> Tuple[_Batch, Iterator[_Job]]:
        """(:class:`_Batch`, :class:`_Job` of every image, protocol after protocol)."""
        batch = _Batch(Results(self._plan), [i for i in images if isinstance(i, Loaded)], {})
        for image in images:
            if not isinstance(image, Loaded):
                self._leave_out(batch.part, *image)
        return batch, self._jobs(batch)

    def _leave_out(self, part: Results, position: int, reason: str) -> None:
        part.errors.setdefault(image_key(position), (self._samples[position].id, reason))

    def _jobs(self, batch: _Batch) -> Iterator[_Job]:
        """Run the network for one protocol after the other; the jobs of the first are scored meanwhile."""
        labels = self._labels(batch.loaded)
        for protocol in self._plan.protocols if batch.loaded else ():
            # The networks of the recipe were trained on BGR.
            inputs = np.stack([rgb_to_bgr(one.views[protocol].image) for one in batch.loaded])
            prediction = self._predictor(inputs, labels)
            for index, reason in getattr(prediction, "failed", ()):
                position = batch.loaded[index].position
                reason = f"{self._samples[position].path}: {reason}"
                if self._task.strict:
                    raise UserError(reason)
                self._leave_out(batch.part, position, reason)
            for index, image in enumerate(batch.loaded):
                raw = {entry: maps[index] for entry, maps in prediction.maps.items()}
                has_failed = image_key(image.position) in batch.part.errors
                yield _Job(protocol, image, None if has_failed else raw)
            batch.predictions[protocol] = prediction.logits, prediction.probability

    def _score(self, job: _Job) -> Tuple[Dict[Entry, Any], Dict[Entry, Any]]:
        """Boxes and pixels of one image by entry; changes no evaluator, so it is safe in threads."""
        found: Dict[Entry, Any] = {}
        pixels: Dict[Entry, Any] = {}
        if job.raw is None:
            return found, pixels
        view = job.image.views[job.protocol]
        maps = score_maps(job.raw, view.map_size, self._task.fusions, self._normalization)
        for entry, score_map in maps:
            evaluator = self._evaluators.localization[job.protocol, entry]
            found[entry] = evaluator.localize(score_map, view.boxes)
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
        for protocol, own in zip(self._plan.protocols, parts):
            logits, probability = (np.asarray(rows)[kept] for rows in batch.predictions[protocol])
            ranks = rank_labels(logits, labels)
            part.classification[protocol].add(logits, labels, keys)
            for entry in self._plan.all_entries:
                evaluator = part.localization[protocol, entry]
                more = {"ranks": ranks} if protocol == FIXED and not self._plan.selecting else {}
                evaluator.add_found([boxes[entry] for boxes, _ in own], ids=keys, **more)
                if protocol == WSOL and entry in part.pixels:
                    found = [pixels[entry] for _, pixels in own]
                    part.pixels[entry].add_found(found, ids=keys)
            if protocol == self._plan.protocols[0]:
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


class Evaluation:
    """The predictor of this process, and the loop over the batches of a plan.

    With ``workers`` (:class:`~dgl.evaluation.ray_workers.RayWorkers`) the predictor here describes the
    network and draws the report's images, on the CPU, because the GPUs belong to the workers.
    """

    def __init__(self, args: Namespace, workers: Any = None):
        self._args = args
        self._workers = workers
        self.predictor: Any = None
        self.build()

    def build(self, extra: Sequence[Tuple[str, str]] = ()) -> Any:
        """Build the predictor anew, with more (method, layer) entries; returns it."""
        from dgl.predict.predictor import predictor_of  # loads TensorFlow

        self.close()
        self._arguments = predictor_arguments(self._args, extra)
        here = dict(self._arguments, gpu=self._args.gpu)
        if self._workers is not None:
            here["gpu"] = "-1"
            if self._workers.gpus:
                here["precision"] = FLOAT32
        self.predictor = predictor_of(**here)
        self.predictor.strict = False
        return self.predictor

    def run(
        self,
        dataset: DataSet,
        plan: Plan,
        fusions: Sequence[Fusion],
        store: Optional[Store],
        shard: Tuple[int, int] = (1, 1),
        maps_folder: Optional[str] = None,
    ) -> Results:
        """Run a plan, or one shard of it; arguments as of :class:`Task` and :func:`collect`."""
        task = Task(self._arguments, dataset, plan, fusions, self._args.strict, maps_folder)
        if self._workers is None:
            run_batches: RunBatches = BatchRunner(self.predictor, task, self._args.workers).run
        else:
            # Workers may run in other folders, and the record keeps the paths as they were given.
            load = os.path.abspath(self.predictor.path)
            folder = None if maps_folder is None else os.path.abspath(maps_folder)
            arguments = dict(self._arguments, load=load)
            run_batches = self._workers.batches_of(
                task._replace(arguments=arguments, maps_folder=folder)
            )
        is_open = self._args.class_offset is None
        return collect(plan, dataset, run_batches, store, shard, check_offset=is_open)

    def close(self) -> None:
        """Free the session."""
        if self.predictor is not None:
            self.predictor.close()
            self.predictor = None


def collect(
    plan: Plan,
    dataset: DataSet,
    run_batches: RunBatches,
    store: Optional[Store] = None,
    shard: Tuple[int, int] = (1, 1),
    progress: bool = True,
    check_offset: bool = False,
) -> Results:
    """Collect the results of all batches, or of one shard of them, in data set order.

    Args:
        plan, dataset: what is evaluated.
        run_batches: takes batch numbers and yields (number, :class:`~dgl.evaluation.results.Results`) in
            any order, such as :meth:`BatchRunner.run`.
        store: batches that it holds are not run again, and every other one is saved in it.
        shard: ``(i, n)``: every n-th batch, beginning with the i-th.
        check_offset: whether to compare labels with the first predictions.

    Raises:
        UserError: labels that are obviously one off; with ``strict``, an image that cannot be read; no
            image can be read; a file cannot be written.
    """
    results = Results(plan)
    index, count = shard
    chunks = list(range(index - 1, plan.chunks, count))
    total = sum(len(plan.positions(chunk)) for chunk in chunks)
    done = set() if store is None else _restore(results, store, chunks, total)
    offset = OffsetCheck(dataset.name)
    batches = run_batches([chunk for chunk in chunks if chunk not in done])
    with contextlib.closing(batches), tqdm(
        total=total,
        initial=len(results),
        unit=" images",
        desc="selection" if plan.selecting else "evaluation",
        disable=not progress,
    ) as bar:
        for chunk, part in batches:
            if check_offset:
                columns = part.images.column
                try:
                    offset.add(columns("class_index"), columns("predicted_index"))
                except UserError:
                    if store is not None:
                        store.discard()
                    raise
            if store is not None:
                store.write(chunk, part)
            for _, reason in part.errors.values():
                _logger.warning("left out: %s", reason)
            results.merge(part)
            bar.update(len(part))
    results.sort()
    results.skipped = dataset.skipped
    warn_of_misfits(dataset, plan.boxes_frame, results.images)
    if total and not results.names:
        _, reason = next(iter(results.errors.values()))
        raise UserError(f"none of {len(results)} images can be read; the first: {reason}")
    return results


def _restore(results: Results, store: Store, chunks: Sequence[int], total: int) -> Set[int]:
    """Merge the batches of this shard that a store holds; returns their numbers."""
    done = set()
    for chunk in sorted(set(chunks).intersection(store.done())):
        try:
            results.merge(store.read(chunk))
            done.add(chunk)
        except UserError as error:
            _logger.warning("%s; the batch is run again", error)
    if done:
        _logger.warning("resuming: %d of %d images are done", len(results), total)
    return done
