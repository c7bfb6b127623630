"""Evaluate score maps that any program has saved, without a model, against metadata of wsolevaluation.

Also the other way round: the metadata folder that goes with maps which this project saved.
"""

import functools
import io
import logging
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from dgl.data.annotations import read_mask
from dgl.data.layouts.wsolevaluation import IDS, LABELS, LOCALIZATION, SIZES, Record, read_metadata
from dgl.data.sample import Box, Sample
from dgl.data.text_files import BadLines, resolve_below
from dgl.data.views import WSOL_MAP_SIZE
from dgl.errors import UserError, printable
from dgl.evaluation.results import image_key
from dgl.evaluation.summary import table_row
from dgl.metrics.bootstrap import compare
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.predict.postprocess import clip_boxes
from dgl.utils.files import write_atomically
from dgl.utils.parallel import process_map

_logger = logging.getLogger(__name__)

# A map of 224 x 224 doubles has 401,536 bytes beside its header, which is a few lines.
_MOST_BYTES = 1024 * 1024
SAVED = "saved"  # in place of a layer's name
_GEOMETRY = "saved maps and boxes at 224 x 224"


class Scores(NamedTuple):
    """Evaluators of one folder of maps, and (id, reason) of what could not be read."""

    boxes: MaxBoxAccEvaluator
    pixels: PixelApEvaluator
    errors: List[Tuple[str, str]]


def read_map(path: str) -> np.ndarray:
    """The score map in a ``.npy`` file, a float array (224, 224) in [0, 1].

    Raises:
        UserError: no such file, no array, pickled objects, another shape or type, NaN, or values
            outside [0, 1].
    """
    side = WSOL_MAP_SIZE
    expected = f"expected a score map, float {side} x {side} in [0, 1]"
    # Opening a pipe would block.
    if not os.path.isfile(path):
        reason = "not a file" if os.path.exists(path) else "no such file"
        raise UserError(f"{path}: {reason}; {expected}")
    if os.path.getsize(path) > _MOST_BYTES:
        raise UserError(f"{path}: too large; {expected}")
    try:
        with open(path, "rb") as stream:
            score_map = np.load(io.BytesIO(stream.read(_MOST_BYTES)), allow_pickle=False)
    # NumPy raises many types for a damaged header or archive.
    except Exception as error:
        reason = printable(str(error).split("\n")[0])
        raise UserError(f"{path}: not an array ({reason}); {expected}") from error
    if not isinstance(score_map, np.ndarray) or score_map.dtype.kind != "f":
        kind = getattr(score_map, "dtype", "an archive")
        raise UserError(f"{path}: {kind}; {expected}")
    if score_map.shape != (side, side):
        shape = " x ".join(str(length) for length in score_map.shape) or "a single number"
        raise UserError(f"{path}: {shape}; {expected}")
    # Written so that NaN fails too.
    if not (score_map.min() >= 0 and score_map.max() <= 1):
        raise UserError(
            f"{path}: values from {float(score_map.min()):g} to {float(score_map.max()):g}; "
            f"{expected}"
        )
    return score_map


def scaled_boxes(boxes: Sequence[Box], size: Tuple[int, int]) -> np.ndarray:
    """True boxes of an image (width, height) in pixels of its score map, int64 (N, 4).

    They are scaled and truncated; nothing is clipped.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    # Multiplying first keeps whole results whole; size / width rounds, and truncation would show it.
    return (corners * WSOL_MAP_SIZE / np.array([size[0], size[1]] * 2, np.float64)).astype(np.int64)


def score(
    maps: str,
    records: Sequence[Record],
    step: float,
    mask_root: Optional[str] = None,
    workers: int = 2,
    strict: bool = False,
    progress: bool = True,
) -> Scores:
    """Score a folder of maps, ``<id>.npy`` of each record.

    Args:
        maps, step, mask_root, strict: as ``--maps``, ``--cam-interval``, ``--mask-root``, ``--strict``.
        records: as :func:`read_records` gives them.
        workers: processes, for a thousand maps or more.
        progress: whether to show a progress bar.

    Raises:
        UserError: the folder is missing, none of the maps can be read, or with ``strict`` one cannot.
    """
    maps = os.path.abspath(maps)
    if not os.path.isdir(maps):
        raise UserError(f"--maps {maps}: no such folder; expected <id>.npy files")
    boxes, pixels = MaxBoxAccEvaluator(step), PixelApEvaluator(step)
    errors: List[Tuple[str, str]] = []
    # Pickled with the records, so they must not be those that grow.
    empty = MaxBoxAccEvaluator(step), PixelApEvaluator(step)
    measure = functools.partial(_measure, maps, mask_root or "", strict, *empty)
    found = process_map(measure, records, workers)
    shown = {"desc": os.path.basename(maps), "unit": " maps", "disable": not progress}
    for position, result in tqdm(enumerate(found), total=len(records), **shown):
        if isinstance(result, str):
            errors.append((records[position].id, result))
            _logger.warning("left out: %s", result)
        else:
            boxes.add_found([result[0]], [image_key(position)])
            pixels.add_found([result[1]], [image_key(position)])
    if len(errors) == len(records):
        raise UserError(
            f"--maps {maps}: none of {len(records)} maps can be read; the first: {errors[0][1]}"
        )
    return Scores(boxes, pixels, errors)


def _measure(
    maps: str,
    mask_root: str,
    strict: bool,
    boxes: MaxBoxAccEvaluator,
    pixels: PixelApEvaluator,
    record: Record,
) -> Any:
    """What the evaluators find in the map of a record; a message where it cannot be read."""
    try:
        path, _ = resolve_below(maps, "", record.id + ".npy", record.id)
        score_map = read_map(path)
        mask = None
        if record.mask_paths:
            paths = [resolve_below(mask_root, "", p, record.id)[0] for p in record.mask_paths]
            ignore = record.ignore_path
            ignore = ignore and resolve_below(mask_root, "", ignore, record.id)[0]
            mask = read_mask(paths, ignore, WSOL_MAP_SIZE)
    except UserError as error:
        if strict:
            raise
        return str(error)
    truth = scaled_boxes(record.boxes, record.size) if record.boxes and record.size else ()
    return boxes.localize(score_map, truth), pixels.count(score_map, mask)


def compute_metrics(
    scores: Mapping[str, Scores], step: float, seed: int, resamples: int
) -> Dict[str, Any]:
    """Metrics of folders of maps by name, with a row per folder in ``protocols``.

    The row of a single folder is at the top level too.

    Raises:
        UserError: no image has a box or a mask.
    """
    rows = [_row(name, found, seed, resamples) for name, found in scores.items()]
    comparisons = _comparisons(scores, seed, resamples) if resamples else []
    metrics: Dict[str, Any] = {}
    if len(rows) == 1:
        metrics.update((k, v) for k, v in rows[0].items() if k not in ("method", "layer"))
    metrics["protocols"] = {
        "wsolevaluation": {
            "step": step, "geometry": _GEOMETRY, "rows": rows, "comparisons": comparisons,
        }
    }  # fmt: skip
    return metrics


def _row(name: str, scores: Scores, seed: int, resamples: int) -> Dict[str, Any]:
    """The metrics of one folder."""
    method, at, layer = name.partition("@")
    boxes = scores.boxes if scores.boxes.images else None
    if boxes is None and not scores.pixels.images:
        raise UserError("--metadata: expected at least one image with a box or a mask")
    return table_row(method, layer if at else SAVED, boxes, scores.pixels, resamples, seed)


def _comparisons(scores: Mapping[str, Scores], seed: int, resamples: int) -> List[Dict[str, Any]]:
    """The first folder compared with each of the others, if both have the same images."""
    found = []
    name, *others = scores
    for other in others:
        pairs = zip(scores[name][:2], scores[other][:2], ("max_box_acc", "pxap"))
        for own, theirs, metric in pairs:
            if own.images and own.counted_ids() == theirs.counted_ids():
                result = compare(own, theirs, metric, resamples, seed)
                found.append(result.record(name, other, metric))
    return found


def read_records(
    metadata: str, mask_root: Optional[str] = None, bad: Optional[BadLines] = None
) -> List[Record]:
    """Records of a metadata folder for :func:`score`; ``class_labels.txt`` is not needed.

    Args:
        metadata, mask_root: the folders of ``--metadata`` and ``--mask-root``.
        bad: takes the messages of wrong lines, whose images are left out.

    Raises:
        UserError: as :func:`~dgl.data.layouts.wsolevaluation.read_metadata`, or masks without their folder.
    """
    if not os.path.isdir(metadata):
        raise UserError(
            f"--metadata {metadata}: no such folder; expected {IDS}, {SIZES} and {LOCALIZATION}"
        )
    records = read_metadata(metadata, with_labels=False, bad=bad)
    if mask_root is None and any(record.mask_paths for record in records):
        raise UserError(f"--mask-root: expected the folder of the masks that {metadata} names")
    if mask_root is not None and not os.path.isdir(mask_root):
        raise UserError(f"--mask-root {mask_root}: no such folder; expected masks")
    return records


def write_metadata(
    folder: str, samples: Sequence[Sample], sizes: Sequence[Tuple[int, int]]
) -> List[Tuple[str, Optional[str]]]:
    """Write the metadata that goes with saved maps, as wsolevaluation reads them, below ``folder``.

    Boxes and masks cannot share one ``localization.txt``; where there are both, boxes are written to
    ``metadata`` and masks to ``metadata_masks``. ``sizes`` are (width, height) of the images themselves.

    Returns:
        (folder, mask root or ``None``) of what was written, as :func:`read_records` takes them.
    """
    folders: List[
        Tuple[str, Optional[str], List[str]]
    ] = []  # with mask root, lines of localization.txt
    boxes = [
        (sample.id, box)
        for sample, (width, height) in zip(samples, sizes)
        for box in clip_boxes(sample.boxes, width, height)[0]
    ]
    if boxes:
        lines = [",".join([key] + [f"{v:.17g}" for v in box]) for key, box in boxes]
        folders.append((os.path.join(folder, "metadata"), None, lines))
    masks = [(sample, path) for sample in samples for path in sample.mask_paths]
    if masks:
        paths = [path for _, path in masks] + [s.ignore_path for s in samples if s.ignore_path]
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
        lines = [
            ",".join([sample.id, _below(root, path), _below(root, sample.ignore_path)])
            for sample, path in masks
        ]
        folders.append((os.path.join(folder, "metadata_masks"), root, lines))
    for made, _, localization in folders:
        files = {
            IDS: [sample.id for sample in samples],
            LABELS: [f"{sample.id},{sample.class_index}" for sample in samples],
            SIZES: ["{},{},{}".format(sample.id, *size) for sample, size in zip(samples, sizes)],
            LOCALIZATION: localization,
        }
        for name, lines in files.items():
            data = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
            write_atomically(os.path.join(made, name), data)
    return [(made, mask_root) for made, mask_root, _ in folders]


def _below(root: str, path: Optional[str]) -> str:
    return "" if path is None else os.path.relpath(path, root).replace(os.sep, "/")
