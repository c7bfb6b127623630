"""Run the grid pointing game (``--mosaic``) on mosaics of the evaluated images, for every method and layer.

Mosaics are chosen as Boehle et al. (CVPR 2021) do: of images whose class the network predicts with a
probability above one half, each mosaic has a random set of different classes, and of each class the most
probable image that no mosaic has yet. Every class of a mosaic gets its map.
"""

import re
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from dgl.data.image_io import read_reduced
from dgl.data.sample import DataSet
from dgl.data.views import WSOL_MAP_SIZE, rgb_to_bgr
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import Fusion, score_maps
from dgl.evaluation.results import Results
from dgl.evaluation.summary import with_intervals
from dgl.metrics.pointing_game import Grid, PointingGameEvaluator
from dgl.predict.postprocess import resize_map
from dgl.utils.parallel import chunks_of, overlapped

LEAST_PROBABILITY = 0.5

Entry = Tuple[str, str]


def parse_grid(text: str) -> Grid:
    """Rows and columns of ``--mosaic``.

    Raises:
        UserError: not of the form ``2x3``, a single tile, or more than four in a row or column.
    """
    match = re.fullmatch(r"([1-4])x([1-4])", text)
    if match is None or text == "1x1":
        raise UserError(f"--mosaic {text}: expected rows x columns such as 2x2, each from 1 to 4")
    return Grid(int(match.group(1)), int(match.group(2)))


def choose_mosaics(results: Results, grid: Grid, seed: int) -> List[List[int]]:
    """Mosaics, each a list of positions in the data set, one per tile; the same for the same seed.

    Raises:
        UserError: not enough images of different classes are recognized for one mosaic.
    """
    images = results.images
    names = ("class_index", "rank", "class_probability")
    columns = [images.column(name).tolist() for name in names]
    known: Dict[int, List[Tuple[float, int]]] = {}
    for key, label, rank, probability in sorted(zip(images.ids, *columns)):
        if rank == 1 and probability > LEAST_PROBABILITY:
            known.setdefault(label, []).append((-probability, int(key)))
    left = {label: sorted(known[label]) for label in sorted(known)}
    rng = np.random.RandomState(seed)
    mosaics = []
    while len(left) >= grid.tiles:
        picked = rng.choice(sorted(left), grid.tiles, replace=False).tolist()
        mosaics.append([left[label].pop(0)[1] for label in picked])
        left = {label: own for label, own in left.items() if own}
    if not mosaics:
        raise UserError(
            f"--mosaic {grid.rows}x{grid.columns}: expected images of {grid.tiles} classes that the "
            f"network recognizes with a probability above {LEAST_PROBABILITY}, got {len(left)}"
        )
    return mosaics


def side_of(grid: Grid, image_size: int) -> int:
    """Side of the network's input for mosaics: in a square grid each tile is as large as an image alone."""
    return image_size * max(grid)


def draw_mosaic(images: Sequence[np.ndarray], grid: Grid, side: int) -> np.ndarray:
    """One square image, uint8 (side, side, 3), of several, uint8 (H, W, 3), each squashed to its tile."""
    tops, lefts = (np.linspace(0, side, n + 1).round().astype(int) for n in grid)
    mosaic = np.zeros((side, side, 3), np.uint8)
    for tile, image in enumerate(images):
        row, column = divmod(tile, grid.columns)
        place = mosaic[tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]]
        place[:] = cv2.resize(image, place.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return mosaic


def play(
    predictor: Any,
    dataset: DataSet,
    mosaics: Sequence[Sequence[int]],
    grid: Grid,
    fusions: Sequence[Fusion] = (),
    batch: int = 8,
    workers: int = 1,
) -> Dict[Entry, PointingGameEvaluator]:
    """Play the game on every mosaic.

    Args:
        predictor: :class:`~dgl.predict.predictor.Predictor` whose input is as large as the mosaics.
        dataset, mosaics, grid: the images, and what :func:`choose_mosaics` made of them.
        fusions: of the predictor's entries.
        batch: maps of one run of the network at most.
        workers: threads that decode, and threads that measure.

    Raises:
        UserError: an image that cannot be read any more.
    """
    entries = list(predictor.entries) + [fusion.entry for fusion in fusions]
    evaluators = {entry: PointingGameEvaluator(grid) for entry in entries}
    size = WSOL_MAP_SIZE // grid.tiles * grid.tiles

    def load(position: int) -> Tuple[int, np.ndarray]:
        sample = dataset.samples[position]
        return sample.class_index, read_reduced(sample.path).image

    def predict(tiles: List[Tuple[int, np.ndarray]]) -> Tuple[None, Iterator[Any]]:
        return None, maps_of(np.array([label for label, _ in tiles]), [image for _, image in tiles])

    def maps_of(labels: np.ndarray, images: List[np.ndarray]) -> Iterator[Any]:
        mosaic = rgb_to_bgr(draw_mosaic(images, grid, predictor.image_size))
        for tiles in chunks_of(range(len(labels)), batch):
            maps = predictor(np.stack([mosaic] * len(tiles)), labels[tiles]).maps
            for index, tile in enumerate(tiles):
                yield tile, {entry: own[index] for entry, own in maps.items()}

    def measure(job: Any) -> Dict[Entry, Any]:
        tile, raw = job
        found = dict.fromkeys(entries)
        for entry, score_map in score_maps(raw, size, fusions) if fusions else ():
            found[entry] = evaluators[entry].measure(score_map, tile)
        for entry, own in raw.items():
            # Unlike a score map it keeps its sign, which its positive part needs.
            found[entry] = evaluators[entry].measure(resize_map(own, size, size), tile)
        return found

    played = overlapped(mosaics, load, predict, measure, workers)
    for number, (_, found) in enumerate(tqdm(played, total=len(mosaics), desc="mosaics")):
        for entry, evaluator in evaluators.items():
            evaluator.add_found([[tile[entry] for tile in found]], [f"{number:06d}"])
    return evaluators


def mosaic_metrics(
    evaluators: Mapping[Entry, PointingGameEvaluator], grid: Grid, seed: int, resamples: int
) -> Dict[str, Any]:
    """What ``metrics.json`` has under ``mosaic``: the rule, and a row per method and layer, in percent."""
    rows = []
    for (method, layer), evaluator in evaluators.items():
        figures = with_intervals(evaluator.result(), evaluator, resamples, seed)
        rows.append({"method": method, "layer": layer, **figures})
    return {
        "grid": f"{grid.rows}x{grid.columns}",
        "mosaics": rows[0]["mosaics"],
        "chance": 100.0 / grid.tiles,
        "images": "predicted correctly with a probability above one half, each in one mosaic; classes "
        "drawn at random, the most probable image of each first",
        "rows": rows,
    }
