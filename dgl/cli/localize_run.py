"""The per-image demo: images in; attention maps, boxes and a JSON record out."""

import contextlib
import os
import sys
from argparse import Namespace
from typing import Any, List, NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from dgl.cli.localize_flags import PUBLISHED_METHODS, make_parser
from dgl.data.bundled import SHIPPED_CHECKPOINT, SHIPPED_IMAGES
from dgl.data.image_io import list_images, read_image
from dgl.data.views import demo_input
from dgl.errors import UserError, printable
from dgl.report.localize_files import (
    ImageFiles,
    folder_names,
    json_number,
    remove_results,
    write_results,
)
from dgl.tf_compat import use_reference_kernels
from dgl.utils.cpu import FLOAT32
from dgl.utils.files import weights_fingerprint
from dgl.utils.parallel import chunks_of, overlapped

__all__ = [
    "SHIPPED_CHECKPOINT",
    "SHIPPED_IMAGES",
    "Lines",
    "make_parser",
    "make_predictor",
    "run",
    "run_with",
]


def _check(args):
    if not 0 <= args.threshold <= 1:
        raise UserError(f"--threshold {args.threshold}: expected a value in [0, 1]")
    if args.image_size is not None and not 32 <= args.image_size <= 4096:
        raise UserError(f"--image_size {args.image_size}: expected 32 to 4096")
    for flag, value in (("--batch", args.batch), ("--workers", args.workers)):
        if value is not None and not 1 <= value <= 4096:
            raise UserError(f"{flag} {value}: expected 1 to 4096")


class _Image(NamedTuple):
    """An image, read; ``error`` says why it could not be."""

    index: int  # type: ignore[assignment]
    image: Optional[np.ndarray] = None
    view: Optional[np.ndarray] = None
    error: Optional[str] = None


class _Job(NamedTuple):
    """All that is needed to draw one image and write its files."""

    index: int  # type: ignore[assignment]
    image: np.ndarray
    maps: dict
    about: dict


class _Demo:
    """One run over some images.

    Args:
        args: parsed flags.
        predictor: :class:`~dgl.predict.predictor.Predictor`.
        paths: list of str.
        outdirs: list of str, the folder for the files of each.
    """

    def __init__(self, args, predictor, paths, outdirs):
        self._args = args
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
        self._files = ImageFiles(
            predictor.entries,
            predictor.backbone.mode,
            args.method,
            args.threshold,
            args.save_maps,
            settings,
        )

    def find(self, index):
        """The record of an image that needs no run, or ``None``."""
        return self._files.find(self._paths[index], self._args.class_index, self._outdirs[index])

    def run(self, indices):
        """Yields (index, record, ``None``) or (index, ``None``, error) in the order of ``indices``."""
        chunks = chunks_of(indices, self._args.batch)
        results = overlapped(chunks, self._read, self._predict, self._write, self._args.workers)
        with contextlib.closing(results):
            for pictures, records in results:
                records = iter(records)
                for index, error in pictures:
                    yield index, None if error else next(records), error

    def _read(self, index):
        try:
            image = read_image(self._paths[index])
        except UserError as error:
            # Its text only: the exception itself would keep what was decoded so far.
            return _Image(index, error=str(error))
        return _Image(index, image, demo_input(image, self._predictor.image_size))

    def _predict(self, pictures):
        context = [(picture.index, picture.error) for picture in pictures]
        pictures = [picture for picture in pictures if picture.error is None]
        if not pictures:
            return context, []
        wanted = self._args.class_index
        prediction = self._predictor(
            np.stack([picture.view for picture in pictures]),
            None if wanted is None else [wanted] * len(pictures),
        )
        return context, [self._job(prediction, i, picture) for i, picture in enumerate(pictures)]

    def _job(self, prediction, i, picture):
        class_index = int(prediction.class_index[i])
        about = {
            "class_index": class_index,
            "class_name": self._predictor.class_name(class_index),
            "probability": float(prediction.probability[i, class_index]),
            "predicted_index": int(prediction.logits[i].argmax()),
        }
        maps = {entry: raw[i] for entry, raw in prediction.maps.items()}
        return _Job(picture.index, picture.image, maps, about)

    def _write(self, job):
        return self._files.write(
            self._paths[job.index], job.image, job.maps, job.about, self._outdirs[job.index]
        )


def _line(record, outdir):
    return "{image}: class {class_index} {class_name} ({probability:.3f}), box {box} -> {}".format(
        outdir, **record
    )


def _say(text, stream):
    """Print a line beside the progress bar, whatever the names in it are made of."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    tqdm.write(text, file=stream)


class Lines:
    """What a run tells on standard output: a line an image, for people."""

    def done(self, record: dict, outdir: str) -> None:
        """An image's files are written below ``outdir``."""
        _say(_line(record, outdir), sys.stdout)

    def failed(self, path: str, error: str) -> None:
        """An image cannot be read; standard error has said so."""


def _run_one(demo, path, outdir, report):
    for _, record, error in demo.run([0]):
        if error is not None:
            report.failed(path, error)
            raise UserError(error)
        report.done(record, outdir)
    return 0


def _run_folder(demo, args, paths, outdirs, report):
    records, errors = {}, []
    if args.resume:
        found = ((index, demo.find(index)) for index in range(len(paths)))
        records.update((index, record) for index, record in found if record is not None)
        if records:
            _say(
                f"going on after {len(records)} of {len(paths)} images that are there already",
                sys.stderr,
            )
    # Those of another run must not stand beside what this one writes, should it be interrupted.
    remove_results(args.outdir)
    wanted = [index for index in range(len(paths)) if index not in records]
    with tqdm(total=len(paths), initial=len(records), unit=" images", desc="demo") as bar:
        for index, record, error in demo.run(wanted):
            if error is None:
                records[index] = record
                report.done(record, outdirs[index])
            else:
                errors.append(error)
                _say(f"left out: {error}", sys.stderr)
                report.failed(paths[index], error)
            bar.update()
    write_results(args.outdir, (records[index] for index in sorted(records)))
    if errors:
        _say(
            f"{len(errors)} of {len(paths)} images could not be read; the first: {errors[0]}",
            sys.stderr,
        )
    return 1 if errors else 0


def _sources_of(args):
    """What the flags name: images and folders; with none, the images that come with the project."""
    named = list(getattr(args, "pictures", ()))
    if args.data_path:
        named.append(args.data_path)
    return named or [SHIPPED_IMAGES]


def make_predictor(args: Namespace) -> Any:
    """The :class:`~dgl.predict.predictor.Predictor` that parsed flags ask for."""
    if not args.fast and args.precision == FLOAT32:
        use_reference_kernels()
    from dgl.predict.predictor import (
        Predictor,  # TensorFlow takes seconds to load; bad flags should not
    )

    mode = args.mode
    if mode is None:
        from dgl.weights.identify import mode_for

        mode = mode_for(args.load)
    return Predictor(
        mode,
        args.load,
        layers=[args.clayer],
        methods=PUBLISHED_METHODS if args.method in PUBLISHED_METHODS else (args.method,),
        alpha=args.pa,
        image_size=args.image_size,
        data_set=args.dataset,
        gpu=args.gpu,
        precision=args.precision,
    )


def run_with(args: Namespace, predictor: Any, paths: List[str], report: Any = None) -> int:
    """Carry out parsed flags with what :func:`run` starts with.

    Args:
        args: parsed flags.
        predictor: what :func:`make_predictor` made of them.
        paths: list of str, the images that the flags stand for.
        report: what is told of each image, by default :class:`Lines`.

    Returns:
        as :func:`run`.
    """
    report = report or Lines()
    sources = _sources_of(args)
    if len(sources) == 1 and not os.path.isdir(sources[0]):
        demo = _Demo(args, predictor, paths, [args.outdir])
        return _run_one(demo, paths[0], args.outdir, report)
    outdirs = [os.path.join(args.outdir, name) for name in folder_names(paths)]
    return _run_folder(_Demo(args, predictor, paths, outdirs), args, paths, outdirs, report)


def run(args: Namespace, report: Any = None) -> int:
    """Carry out parsed flags.

    Args:
        args: parsed flags of :mod:`dgl.cli.localize_flags`.
        report: what is told of each image, by default :class:`Lines`.

    Returns:
        the exit code: 1 where one of several images cannot be read.

    Raises:
        UserError: bad flags, a checkpoint that does not fit, no image, or a single one that cannot be
            read.
    """
    _check(args)
    paths = [path for source in _sources_of(args) for path in list_images(source)]
    paths = list(dict.fromkeys(paths))
    with make_predictor(args) as predictor:
        return run_with(args, predictor, paths, report)
