"""The loop of `dgl localize` over images: load, predict, draw, store."""

import contextlib
import os
import sys
from argparse import Namespace
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from dgl.data.image_io import Decoded, read_reduced
from dgl.data.views import demo_input
from dgl.errors import UserError, printable
from dgl.evaluation.layer_fusion import make_fusions, score_maps
from dgl.evaluation.plan import foreign_model_of
from dgl.predict.postprocess import MINMAX, parse_normalization
from dgl.predict.predictor import Predictor, defaults_of, predictor_of
from dgl.report.localize_files import (
    Finding,
    ImageFiles,
    folder_names,
    json_number,
    remove_results,
    write_results,
)
from dgl.utils.files import weights_fingerprint
from dgl.utils.parallel import chunks_of, overlapped
from dgl.weights.foreign_model import model_kind
from dgl.weights.identify import default_weights

Record = Dict[str, Any]
Report = Callable[[Record], None]

# The published pair: both maps are written, --method selects the one that gives the box.
PAIR = ("dgl", "cam")
# A class of lower probability is reported as a guess.
UNSURE = 0.1
_MOST_CLASSES = 100  # of an image, with --min-probability alone


def make_predictor(args: Namespace, with_pair: bool = True) -> Any:
    """Load the checkpoint that the flags of `dgl localize` or `dgl label` name.

    Layer, threshold and normalization that are not given become the backbone's, or the method's own.
    ``with_pair``: whether both methods of the published program are computed where one is asked for.
    """
    mode, load = default_weights(args.mode, args.load)
    with_pair = with_pair and args.method in PAIR and not args.fuse and model_kind(load) is None
    defaults = defaults_of(mode, load, args.method)
    if args.clayer is None:
        args.clayer = defaults.layer
    if args.threshold is None:
        args.threshold = defaults.threshold
    if args.normalize is None:
        args.normalize = defaults.normalize
    predictor = predictor_of(
        foreign_model_of(args),
        mode=mode,
        load=load,
        layers=[args.clayer],
        methods=PAIR if with_pair else (args.method,),
        alpha=args.pa,
        image_size=args.image_size,
        data_set=args.dataset,
        gpu=args.gpu,
        precision=args.precision,
        flip=args.flip,
    )
    predictor.strict = False  # one image whose map is not finite does not end a run
    return predictor


def print_line(facts: Record) -> None:
    """Report on an image by its record and ``outdir``; an ``error`` is on standard error already."""
    for found in facts.get("classes", [facts]) if "error" not in facts else ():
        box = found["box"]
        text = f"{facts['image']}  {found['class_name']} {found['probability']:.2f}"
        if found["probability"] < UNSURE:
            text += " (unsure)"
        text += "  no region" if box is None else "  box " + " ".join(map(str, box))
        _print(f"{text}  -> {facts['outdir']}", sys.stdout)


def _print(text: str, stream: Any) -> None:
    """Print a line without breaking the progress bar, escaping what ``stream`` cannot encode."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    tqdm.write(text, file=stream)


def localize_image(args: Namespace, predictor: Predictor, path: str, report: Report) -> int:
    """Localize a single image; its files go into ``--outdir`` itself."""
    pipeline = _Pipeline(args, predictor, [path], [args.outdir])
    for _, record, error in pipeline.run([0]):
        if error is not None:
            report({"image": path, "error": error})
            raise UserError(error)
        report(dict(record, outdir=args.outdir))
    return 0


def localize_folder(
    args: Namespace, predictor: Predictor, paths: Sequence[str], report: Report
) -> int:
    """Localize several images, each into a folder of its own; returns 1 if some cannot be read."""
    outdirs = [os.path.join(args.outdir, name) for name in folder_names(paths)]
    pipeline = _Pipeline(args, predictor, paths, outdirs)
    records: Dict[int, Record] = {}
    errors: List[str] = []
    if args.resume:
        stored = ((index, pipeline.find_record(index)) for index in range(len(paths)))
        records.update((index, record) for index, record in stored if record is not None)
        if records:
            _print(f"resuming after {len(records)} of {len(paths)} images", sys.stderr)
    # An interrupted run must not leave the list of an earlier run beside its own files.
    remove_results(args.outdir)
    missing = [index for index in range(len(paths)) if index not in records]
    cv2.setNumThreads(1)  # several images are worked on at once
    with tqdm(total=len(paths), initial=len(records), unit=" images", desc="localize") as bar:
        for index, record, error in pipeline.run(missing):
            if error is None:
                records[index] = record
                report(dict(record, outdir=outdirs[index]))
            else:
                errors.append(error)
                _print(f"skipped: {error}", sys.stderr)
                report({"image": paths[index], "error": error})
            bar.update()
    write_results(args.outdir, (records[index] for index in sorted(records)))
    if errors:
        _print(
            f"{len(errors)} of {len(paths)} images could not be read; the first: {errors[0]}",
            sys.stderr,
        )
    return 1 if errors else 0


class _Loaded(NamedTuple):
    """An image in full and as the network's input, or the reason why it cannot be read."""

    number: int
    image: Any = None
    view: Any = None
    error: Optional[str] = None


class _Localized(NamedTuple):
    """An image with what was found in it, the most probable class first."""

    number: int
    image: Decoded
    findings: List[Finding]


class _Pipeline:
    """Load and store images in threads while the network runs; each has a folder of ``outdirs``."""

    def __init__(
        self, args: Namespace, predictor: Predictor, paths: Sequence[str], outdirs: Sequence[str]
    ):
        self._args = args
        name = args.class_index
        self._target = None if name is None else predictor.class_names.find(name, "--class")
        self._predictor = predictor
        self._paths = paths
        self._outdirs = outdirs
        settings = {
            "alpha": json_number(args.pa),
            "checkpoint": predictor.path,
            "weights": weights_fingerprint(predictor.path),
            "head": predictor.options.head,
            "image_size": predictor.image_size,
            "fast": args.fast,
            "precision": args.precision,
        }
        self._normalization = parse_normalization(args.normalize)
        if self._normalization != MINMAX:
            settings["normalize"] = str(self._normalization)
        if args.top > 1:
            settings["top"] = args.top
        if args.min_probability is not None:
            settings["min_probability"] = args.min_probability
        if args.flip:
            settings["flip"] = True
        entries = predictor.entries
        self._fusions = make_fusions(entries, [args.fuse] if args.fuse else [])
        if self._fusions:
            entries = [fusion.entry for fusion in self._fusions]
            settings["layers"] = list(self._fusions[0].layers)
        self._files = ImageFiles(
            entries,
            predictor.backbone.mode,
            args.method,
            args.threshold,
            args.save_maps,
            settings,
            args.published,
            # What is fused was normalized before.
            MINMAX if self._fusions else self._normalization,
            draws=not args.no_drawings,
        )

    def find_record(self, index: int) -> Optional[Record]:
        """The stored record of an image if the same flags made it, else ``None``."""
        return self._files.find(self._paths[index], self._target, self._outdirs[index])

    def run(self, indices: Sequence[int]) -> Iterator[Tuple[int, Any, Optional[str]]]:
        """Yield (index, record, ``None``) or (index, ``None``, error) in the order of ``indices``."""
        chunks = chunks_of(indices, self._args.batch)
        batches = overlapped(chunks, self._load, self._predict, self._store, self._args.workers)
        with contextlib.closing(batches):
            for loaded, records in batches:
                stored = iter(records)
                for index, error in loaded:
                    yield index, None if error else next(stored), error

    def _load(self, index: int) -> _Loaded:
        try:
            image = read_reduced(self._paths[index])
        except UserError as error:
            # The text only: the traceback of the exception keeps the decoded data in memory.
            return _Loaded(index, error=str(error))
        return _Loaded(index, image, demo_input(image.image, self._predictor.image_size))

    def _predict(
        self, batch: Sequence[_Loaded]
    ) -> Tuple[List[Tuple[int, Optional[str]]], List[_Localized]]:
        readable = [loaded for loaded in batch if loaded.error is None]
        if not readable:
            return [(loaded.number, loaded.error) for loaded in batch], []
        views = np.stack([loaded.view for loaded in readable])
        targets = None if self._target is None else [self._target] * len(readable)
        first = self._predictor(views, targets)
        predictions = [first]
        # Of each image as many classes as there are; the most probable one in any case.
        counts = np.full(len(readable), self._args.top)
        if self._args.min_probability is not None:
            probable = (first.probability >= self._args.min_probability).sum(axis=1)
            counts = np.clip(probable, 1, self._args.top if self._args.top > 1 else _MOST_CLASSES)
        if counts.max() > 1:
            ranked = np.argsort(-first.logits, axis=1, kind="stable")
            top = min(int(counts.max()), ranked.shape[1])
            predictions += [self._predictor(views, list(ranked[:, rank])) for rank in range(1, top)]
        errors = {loaded.number: loaded.error for loaded in batch}
        for place, reason in (failure for found in predictions for failure in found.failed):
            number = readable[place].number
            errors[number] = f"{self._paths[number]}: {reason}"
        return list(errors.items()), [
            _Localized(
                loaded.number, loaded.image, [self._select(p, i) for p in predictions[: counts[i]]]
            )
            for i, loaded in enumerate(readable)
            if errors[loaded.number] is None
        ]

    def _select(self, prediction: Any, i: int) -> Finding:
        """The part of a batch's prediction that belongs to its ``i``-th image."""
        class_index = int(prediction.class_index[i])
        facts = {
            "class_index": class_index,
            "class_name": self._predictor.class_name(class_index),
            "probability": float(prediction.probability[i, class_index]),
            "predicted_index": int(prediction.logits[i].argmax()),
        }
        maps = {entry: raw[i] for entry, raw in prediction.maps.items()}
        if self._fusions:
            # At the side of the square input, as an evaluation fuses them.
            size = self._predictor.image_size
            maps = dict(score_maps(maps, size, self._fusions, self._normalization))
        return Finding(facts, maps)

    def _store(self, done: _Localized) -> Record:
        path, outdir = self._paths[done.number], self._outdirs[done.number]
        return self._files.write(path, done.image, done.findings, outdir)
