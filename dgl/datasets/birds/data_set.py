"""Write the drawn birds: the data set in CUB-200-2011's published layout, and the sample images."""

import functools
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

import dgl
from dgl.data.image_io import encode_image
from dgl.datasets.birds import render
from dgl.datasets.birds.anatomy import CLASS_NAMES
from dgl.datasets.birds.render import render_bird
from dgl.errors import UserError
from dgl.utils.files import has_content, new_folder, write_atomically
from dgl.utils.parallel import lost_worker, worker_pool

JPEG_QUALITY = 90
# Only on Linux do the libraries survive forking, which starts in no time.
START_METHOD = "fork" if sys.platform == "linux" else "spawn"

# (class_index, seed) of the images that --samples writes, their longest side and JPEG quality.
SAMPLES = ((0, 216), (1, 225), (2, 218), (3, 235), (6, 238), (7, 223))
SAMPLE_SIDE = 400
SAMPLE_QUALITY = 85


def _class_folder(class_index: int) -> str:
    return f"{class_index + 1:03d}.{CLASS_NAMES[class_index]}"


def _image_path(image_id: int) -> str:
    """Path of an image below images/ without its extension. Ids go through the classes in turn."""
    number, class_index = divmod(image_id - 1, len(CLASS_NAMES))
    name = f"{CLASS_NAMES[class_index]}_{number + 1:04d}"
    return f"{_class_folder(class_index)}/{name}"


def _write_image(path: str, image: np.ndarray, quality: Optional[int] = None) -> None:
    with open(path, "wb") as stream:
        stream.write(encode_image(image, os.path.splitext(path)[1], quality))


def _make_image(
    folder: str, seed: int, longest_side: int, image_id: int
) -> Tuple[int, int, int, int]:
    """Render image ``image_id`` from (seed, id) alone, write it, and return its box."""
    class_index = (image_id - 1) % len(CLASS_NAMES)
    bird = render_bird(class_index, np.random.default_rng([seed, image_id]), longest_side)
    path = _image_path(image_id)
    _write_image(os.path.join(folder, "images", path + ".jpg"), bird.image, JPEG_QUALITY)
    _write_image(os.path.join(folder, "segmentations", path + ".png"), bird.mask * 255)
    return bird.box


def _render_all(
    folder: str, ids: Sequence[int], seed: int, longest_side: int, workers: int, progress: bool
) -> List[Tuple[int, int, int, int]]:
    """Write every image and return the boxes in the order of ``ids``."""
    job = functools.partial(_make_image, folder, seed, longest_side)
    bar = functools.partial(
        tqdm, total=len(ids), unit="image", desc="drawing birds", disable=not progress
    )
    if workers == 1:
        return list(bar(map(job, ids)))
    # OpenCV's threads do not survive a fork, and a child that stops them hangs: stop them here, in the
    # process that owns them, until the workers are done.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with worker_pool(workers, START_METHOD) as pool:
            return list(bar(pool.map(job, ids, chunksize=4)))
    except BrokenProcessPool as error:
        raise lost_worker() from error
    finally:
        cv2.setNumThreads(threads)


def _write_lists(
    folder: str, boxes: Sequence[Tuple[int, int, int, int]], train_per_class: int
) -> None:
    """Write the text files of CUB-200-2011. ``boxes`` are (x0, y0, x1, y1), by id from 1."""
    ids = range(1, len(boxes) + 1)
    count = len(CLASS_NAMES)
    rows = {
        "images.txt": [f"{k} {_image_path(k)}.jpg" for k in ids],
        "image_class_labels.txt": [f"{k} {(k - 1) % count + 1}" for k in ids],
        "train_test_split.txt": [f"{k} {int((k - 1) // count < train_per_class)}" for k in ids],
        "bounding_boxes.txt": [
            f"{k} {x0:.1f} {y0:.1f} {x1 - x0:.1f} {y1 - y0:.1f}"
            for k, (x0, y0, x1, y1) in zip(ids, boxes)
        ],
        "classes.txt": [f"{k + 1} {_class_folder(k)}" for k in range(count)],
    }
    for name, lines in rows.items():
        _write_text(os.path.join(folder, name), "".join(line + "\n" for line in lines))


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _readme(seed: int, train_per_class: int, test_per_class: int, longest_side: int) -> str:
    command = f"python -m dgl.data.birds --seed {seed} --train-per-class {train_per_class}"
    command += f" --test-per-class {test_per_class} --size {longest_side}"
    drawing = f"drawing {render.DRAWING_VERSION}, head scale {render.HEAD_SCALE}"
    return f"""Birds: a drawn data set for weakly supervised object localization

{len(CLASS_NAMES)} classes that differ only in the head (crest, markings, beak); the object is the whole
bird. Body, plumage, pose, size, place and background are independent of the class.
Layout of CUB-200-2011: images.txt, image_class_labels.txt, train_test_split.txt,
bounding_boxes.txt (id x y width height), classes.txt, images/, and segmentations/ (0 or 255).

Made by: {command}
Version: dgl {dgl.__version__}, {drawing}, clutter {render.CLUTTER}
Seed: {seed}
"""


def _holds(out: str, readme: str, count: int) -> bool:
    """Whether ``out`` is this very data set, complete."""
    path = os.path.join(out, "README.txt")
    if not has_content(out) or not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8", errors="replace") as stream:
        if stream.read() != readme:
            raise UserError(
                f"--out {out}: holds a data set of other settings (see its README.txt), "
                "expected a new or empty folder"
            )
    for image_id in range(1, count + 1):
        path = os.path.join(out, "images", _image_path(image_id) + ".jpg")
        if not os.path.isfile(path):
            raise UserError(f"--out {out}: {path} is missing, delete the folder")
    return True


def _check(name: str, value: int, low: int, high: Optional[int] = None) -> None:
    if value < low or (high is not None and value > high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise UserError(f"{name} {value}: expected a whole number {bound}")


def write_data_set(
    out: str,
    seed: int = 0,
    train_per_class: int = 100,
    test_per_class: int = 30,
    longest_side: int = 192,
    workers: int = 2,
    progress: bool = True,
) -> bool:
    """Render the data set and put it at ``out`` in one step, when it is complete.

    Image ``id`` depends on ``(seed, id, longest_side)`` alone. Ids go through the classes in
    turn, the training images first.

    Args:
        out: folder to make; it may exist if it is empty or holds this very data set.
        seed: 0 or more.
        train_per_class, test_per_class: images of each class in either split, 1 or more.
        longest_side: longer side of every image in pixels, 64 to 1024.
        workers: processes that draw, 1 or more; 1 draws in this process.
        progress: show a progress bar.

    Returns:
        bool, False if ``out`` held the data set already.

    Raises:
        UserError: a value is out of range, or ``out`` holds something else or cannot be written.
    """
    _check("--seed", seed, 0)
    _check("--train-per-class", train_per_class, 1, 9000)
    _check("--test-per-class", test_per_class, 1, 999)
    _check("--size", longest_side, 64, 1024)
    _check("--workers", workers, 1, 256)
    out = os.path.abspath(out)
    count = len(CLASS_NAMES) * (train_per_class + test_per_class)
    readme = _readme(seed, train_per_class, test_per_class, longest_side)
    if _holds(out, readme, count):
        return False
    with new_folder(out) as folder:
        for kind in ("images", "segmentations"):
            for class_index in range(len(CLASS_NAMES)):
                os.makedirs(os.path.join(folder, kind, _class_folder(class_index)))
        ids = range(1, count + 1)
        boxes = _render_all(folder, ids, seed, longest_side, workers, progress)
        _write_lists(folder, boxes, train_per_class)
        _write_text(os.path.join(folder, "README.txt"), readme)
    return True


def write_samples(out: str) -> List[str]:
    """Write a few larger images, one bird each, as ``bird_<class>.jpg`` below ``out``; their paths."""
    paths = []
    for class_index, seed in SAMPLES:
        bird = render_bird(class_index, np.random.default_rng(seed), SAMPLE_SIDE)
        path = os.path.join(out, f"bird_{CLASS_NAMES[class_index].lower()}.jpg")
        write_atomically(path, encode_image(bird.image, ".jpg", SAMPLE_QUALITY))
        paths.append(path)
    return paths
