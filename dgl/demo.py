"""The per-image demo: pictures in; attention maps, boxes and a JSON record out."""

import argparse
import contextlib
import os
import sys
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dgl.arithmetic import use_reference_kernels
from dgl.backbones import BACKBONES
from dgl.data.image_io import list_images, read_image
from dgl.data.views import demo_input
from dgl.demo_files import (
    PictureFiles,
    folder_names,
    json_number,
    remove_results,
    write_results,
)
from dgl.errors import UserError
from dgl.fingerprint import weights_fingerprint
from dgl.pipeline import chunks_of, overlapped
from dgl.precisions import FLOAT32, PRECISIONS
from dgl.terminal import printable

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED_CHECKPOINT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "pretrained", "birds_vgg.npz"
)
SHIPPED_PICTURES = os.path.join(_ROOT, "images")


def make_parser(description):
    """The parser of `dome_image_DGL.py`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    published = parser.add_argument_group("published flags")
    published.add_argument("--load", default=SHIPPED_CHECKPOINT, help="checkpoint")
    published.add_argument("--data_path", default=SHIPPED_PICTURES, help="a picture, or a folder")
    published.add_argument(
        "--image_size", type=int, help="side of the input (the checkpoint's, 224)"
    )
    published.add_argument("--mode", choices=sorted(BACKBONES), default="vgg", help="backbone")
    published.add_argument("--clayer", default="2", help="layer of the DGL map: index or name")
    published.add_argument("--dataset", choices=("imagenet", "cub"), help="which head, if several")
    published.add_argument("--pa", type=float, default=10.0, help="alpha of the loss gradient")
    published.add_argument("--gpu", help="GPU to use (-1: the CPU)")
    ours = parser.add_argument_group("beyond the published flags")
    ours.add_argument("--outdir", default=".", help="where to write")
    ours.add_argument("--class", dest="class_index", type=int, help="class to locate (arg-max)")
    ours.add_argument("--threshold", type=float, default=0.2, help="fraction of the map's maximum")
    ours.add_argument(
        "--method", choices=("dgl", "cam"), default="dgl", help="which map gives the box"
    )
    ours.add_argument("--save-maps", action="store_true", help="also write the raw maps as .npy")
    ours.add_argument(
        "--fast", action="store_true", help="oneDNN's kernels on a CPU, not TensorFlow 1.15's"
    )
    ours.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=FLOAT32,
        help="bf16 (implies --fast) needs a CPU or GPU that computes in it",
    )
    folders = parser.add_argument_group("for folders")
    folders.add_argument("--batch", type=int, default=8, help="pictures a run of the network")
    folders.add_argument(
        "--workers", type=int, help="threads that decode, and that draw and write (one a core)"
    )
    folders.add_argument(
        "--resume", action="store_true", help="leave out what is there, made with the same flags"
    )
    return parser


def _check(args):
    if not 0 <= args.threshold <= 1:
        raise UserError("--threshold {}: expected a value in [0, 1]".format(args.threshold))
    if args.image_size is not None and not 32 <= args.image_size <= 4096:
        raise UserError("--image_size {}: expected 32 to 4096".format(args.image_size))
    for flag, value in (("--batch", args.batch), ("--workers", args.workers)):
        if value is not None and not 1 <= value <= 4096:
            raise UserError("{} {}: expected 1 to 4096".format(flag, value))


class _Picture(NamedTuple):
    """A picture, read; ``error`` says why it could not be."""

    index: int
    image: np.ndarray = None
    view: np.ndarray = None
    error: str = None


class _Job(NamedTuple):
    """All that is needed to draw one picture and write its files."""

    index: int
    image: np.ndarray
    maps: dict
    about: OrderedDict


class _Demo(object):
    """One run over some pictures.

    Args:
        args: parsed flags.
        predictor: :class:`~dgl.predictor.Predictor`.
        paths: list of str.
        outdirs: list of str, the folder for the files of each.
    """

    def __init__(self, args, predictor, paths, outdirs):
        self._args = args
        self._predictor = predictor
        self._paths = paths
        self._outdirs = outdirs
        settings = OrderedDict(
            alpha=json_number(args.pa),
            checkpoint=predictor.path,
            weights=weights_fingerprint(predictor.path),
            head=predictor.options.head,
            image_size=predictor.image_size,
            fast=args.fast,
            precision=args.precision,
        )
        self._files = PictureFiles(
            predictor.entries, args.mode, args.method, args.threshold, args.save_maps, settings
        )

    def find(self, index):
        """The record of a picture that needs no run, or ``None``."""
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
            return _Picture(index, error=str(error))
        return _Picture(index, image, demo_input(image, self._predictor.image_size))

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
        about = OrderedDict(
            class_index=class_index,
            class_name=self._predictor.class_name(class_index),
            probability=float(prediction.probability[i, class_index]),
            predicted_index=int(prediction.logits[i].argmax()),
        )
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


def _run_one(demo, path, outdir):
    for _, record, error in demo.run([0]):
        if error is not None:
            raise UserError(error)
        _say(_line(record, outdir), sys.stdout)
    return 0


def _run_folder(demo, args, paths, outdirs):
    records, errors = {}, []
    if args.resume:
        found = ((index, demo.find(index)) for index in range(len(paths)))
        records.update((index, record) for index, record in found if record is not None)
        if records:
            _say(
                "going on after {} of {} pictures that are there already".format(
                    len(records), len(paths)
                ),
                sys.stderr,
            )
    # Those of another run must not stand beside what this one writes, should it be interrupted.
    remove_results(args.outdir)
    wanted = [index for index in range(len(paths)) if index not in records]
    with tqdm(total=len(paths), initial=len(records), unit=" images", desc="demo") as bar:
        for index, record, error in demo.run(wanted):
            if error is None:
                records[index] = record
                _say(_line(record, outdirs[index]), sys.stdout)
            else:
                errors.append(error)
                _say("left out: {}".format(error), sys.stderr)
            bar.update()
    write_results(args.outdir, (records[index] for index in sorted(records)))
    if errors:
        _say(
            "{} of {} pictures could not be read; the first: {}".format(
                len(errors), len(paths), errors[0]
            ),
            sys.stderr,
        )
    return 1 if errors else 0


def make_predictor(args):
    """The :class:`~dgl.predictor.Predictor` that parsed flags ask for."""
    if not args.fast and args.precision == FLOAT32:
        use_reference_kernels()
    from dgl.predictor import Predictor  # TensorFlow takes seconds to load; bad flags should not

    return Predictor(
        args.mode,
        args.load,
        layers=[args.clayer],
        methods=("dgl", "cam"),
        alpha=args.pa,
        image_size=args.image_size,
        data_set=args.dataset,
        gpu=args.gpu,
        precision=args.precision,
    )


def run_with(args, predictor, paths):
    """Carry out parsed flags with what :func:`run` starts with.

    Args:
        args: parsed flags.
        predictor: what :func:`make_predictor` made of them.
        paths: list of str, the pictures that ``--data_path`` stands for.

    Returns:
        as :func:`run`.
    """
    if not os.path.isdir(args.data_path):
        return _run_one(_Demo(args, predictor, paths, [args.outdir]), paths[0], args.outdir)
    outdirs = [os.path.join(args.outdir, name) for name in folder_names(paths)]
    return _run_folder(_Demo(args, predictor, paths, outdirs), args, paths, outdirs)


def run(args):
    """Carry out parsed flags; returns the exit code: 1 where a picture of a folder cannot be read."""
    _check(args)
    paths = list_images(args.data_path)
    with make_predictor(args) as predictor:
        return run_with(args, predictor, paths)
