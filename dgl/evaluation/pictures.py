"""The pictures of the report: which are drawn, and the strip of each with the maps of some entries."""

import os
import shutil
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from dgl import boxes as box_ops
from dgl.data.image_io import read_image
from dgl.data.sample import DataSet
from dgl.data.views import GEOMETRIES
from dgl.evaluation.box_check import fit_boxes
from dgl.evaluation.cases import case_of
from dgl.evaluation.entries import Fusion, entry_name, score_maps
from dgl.evaluation.gathered import Gathered, picture_key
from dgl.evaluation.metrics import class_name
from dgl.evaluation.plan import FIXED
from dgl.rendering.gallery import Entry, compose_tile
from dgl.rendering.overlay import write_image

GALLERY = "gallery"
# More panels than these make a strip that nobody reads.
MOST_ENTRIES = 8
_BATCH = 16


def choose(gathered: Gathered, entry: Tuple[str, str], count: int) -> List[int]:
    """Places of the pictures to draw: evenly from the worst to the best IoU of one entry.

    Without the fixed-threshold protocol, which knows the IoUs, evenly over the list.

    Returns:
        list of int, ascending.
    """
    positions = np.array(sorted(int(key) for key in gathered.names), np.int64)
    if FIXED in gathered.plan.protocols and not gathered.plan.selecting:
        rows = gathered.localization[FIXED, entry].result()["rows"]
        known = [(row["iou"], int(row["id"])) for row in rows if row["iou"] is not None]
        positions = np.array([position for _, position in sorted(known)], np.int64)
    if not count or not len(positions):
        return []
    picked = np.linspace(0, len(positions) - 1, min(count, len(positions))).round().astype(int)
    return sorted(positions[picked].tolist())


def clear(out: str) -> None:
    """Remove the pictures of an earlier report."""
    shutil.rmtree(os.path.join(out, GALLERY), ignore_errors=True)


def draw(
    predictor: Any,
    dataset: DataSet,
    gathered: Gathered,
    out: str,
    positions: Sequence[int],
    entries: Sequence[Tuple[str, str]],
    fusions: Sequence[Fusion] = (),
    progress: bool = True,
) -> List[Dict[str, Any]]:
    """Run the network on some pictures again and draw a strip of each.

    Args:
        predictor, dataset: as of :class:`~dgl.evaluation.localization.Evaluation`.
        gathered: its results.
        out: str, the report's folder; what ``gallery/`` in it holds is replaced.
        positions: places in the data set's list of pictures that could be read.
        entries: the entries to draw, at most :data:`MOST_ENTRIES` of them are.
        fusions: the fusions among them.
        progress: bool.

    Returns:
        list of dicts, as :func:`dgl.rendering.page.write_report` takes them.
    """
    clear(out)
    plan, entries = gathered.plan, list(entries)[:MOST_ENTRIES]
    protocol = FIXED if FIXED in plan.protocols else plan.protocols[0]
    rank = dict(zip(gathered.pictures.ids, gathered.pictures.column("rank")))
    items = []
    with tqdm(
        total=len(positions), desc="pictures", unit=" images", disable=not progress, leave=False
    ) as bar:
        for start in range(0, len(positions), _BATCH):
            part = positions[start : start + _BATCH]
            samples = [dataset.samples[position] for position in part]
            views = [_view(protocol, sample, predictor.image_size) for sample in samples]
            images = np.stack([view.image[..., ::-1] for view in views])
            prediction = predictor(images, np.array([sample.class_index for sample in samples]))
            for index, (position, sample, view) in enumerate(zip(part, samples, views)):
                raw = {entry: maps[index] for entry, maps in prediction.maps.items()}
                name = "{}/{:06d}.jpg".format(GALLERY, position)
                item = _strip(os.path.join(out, name), view, raw, plan, protocol, entries, fusions)
                best = int(prediction.logits[index].argmax())
                item.update(
                    file=name,
                    id=sample.id,
                    true_class=class_name(plan, sample.class_index),
                    predicted_class=class_name(plan, best),
                    probability=float(prediction.probability[index, best]),
                    correct=bool(rank[picture_key(position)] == 1),
                )
                items.append(item)
            bar.update(len(part))
    return items


def _view(protocol, sample, size):
    image = read_image(sample.path)
    return GEOMETRIES[protocol].view(image, fit_boxes(sample.boxes, image).boxes, size)


def _strip(path, view, raw, plan, protocol, entries, fusions):
    """Write one strip; returns its ``ious`` and ``cases`` by entry."""
    ratio = view.map_size / float(view.image.shape[0])
    drawn, ious, cases = {}, {}, {}
    for entry, score_map in score_maps(raw, view.map_size, fusions):
        if entry not in entries:
            continue
        settled = plan.threshold_of(protocol, entry)
        box = box_ops.largest_box(score_map, plan.threshold if settled is None else settled)
        overlap, case = None, None
        if len(view.boxes):
            overlap = float(box_ops.iou(box, view.boxes).max())
            case = case_of(box, view.boxes)
        drawn[entry] = Entry(entry_name(entry), score_map, box / ratio, overlap)
        ious[entry_name(entry)], cases[entry_name(entry)] = overlap, case
    truth = np.asarray(view.boxes, float) / ratio
    write_image(path, compose_tile(view.image, truth, [drawn[entry] for entry in entries]))
    order = [entry_name(entry) for entry in entries]
    return {"ious": {n: ious[n] for n in order}, "cases": {n: cases[n] for n in order}}
