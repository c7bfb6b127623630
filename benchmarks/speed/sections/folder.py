"""The demo on a folder, compared with the bare session and with one run per image; memory growth."""

import json
import os
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
import tabulate
from tqdm import tqdm

from benchmarks.speed import network
from benchmarks.speed.photos import FOLDER
from benchmarks.speed.spread import AT_LEAST, AT_MOST, bounded, ratio, spread
from dgl.cli.localize import make_parser
from dgl.data import list_images, read_image
from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.errors import UserError

IMAGES, MANY = 200, 2000
QUICK_IMAGES, QUICK_MANY, QUICK_SINGLES = 16, 160, 2
SIDES = (
    (500, 375),
    (375, 500),
    (500, 333),
    (480, 360),
)  # width, height, as photographs of ImageNet
QUALITY = 92
NOISE = 4.0  # standard deviation, of 255: images from a camera are not smooth

THROUGHPUT_BOUND, SINGLES_BOUND, MEMORY_BOUND = 0.9, 15, 1.1
SINGLES = 40  # single runs that are really made, the rest being reckoned from them
MEMORY_ROUNDS = 1  # peaks hardly vary
FULL_ROUNDS = 3  # most; a round of the full network takes minutes

ROOT = os.path.dirname(FOLDER)
SCRIPT = os.path.join(ROOT, "test_code", "dome_image_DGL.py")
_LAST_LINES = 5


def make_images(folder, count, seed=0):
    """Photographs to read: parts of the project's own, mirrored or not, with noise, as JPEG.

    Args:
        folder: str, where to; made if missing.
        count: int, how many.
        seed: int.
    """
    os.makedirs(folder, exist_ok=True)
    rng = np.random.RandomState(seed)
    sources = [read_image(path)[..., ::-1] for path in list_images(FOLDER)]
    # Drawn once: noise for thousands of images would take longer than their runs.
    noise = rng.normal(0, NOISE, (600, 600, 3)).astype(np.float32)
    for index in range(count):
        image = sources[index % len(sources)]
        height, width = image.shape[:2]
        share = rng.uniform(0.7, 1.0)
        rows, columns = int(share * height), int(share * width)
        top, left = rng.randint(0, height - rows + 1), rng.randint(0, width - columns + 1)
        part = image[top : top + rows, left : left + columns]
        if rng.rand() < 0.5:
            part = part[:, ::-1]
        size = SIDES[index % len(SIDES)]
        part = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_CUBIC)
        y, x = rng.randint(0, 600 - part.shape[0] + 1), rng.randint(0, 600 - part.shape[1] + 1)
        part = part + noise[y : y + part.shape[0], x : x + part.shape[1]]
        part = np.clip(np.rint(part), 0, 255).astype(np.uint8)
        path = os.path.join(folder, f"{index:05d}.jpg")
        if not cv2.imwrite(path, part, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
            raise UserError(f"{path}: cannot be written")


def _call(command):
    """Run a command in the project's folder; returns (standard output, seconds).

    Raises:
        UserError: it failed.
    """
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        text = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError("{}: {}".format(command[1], " | ".join(text[-_LAST_LINES:])))
    return done.stdout.decode("utf-8"), seconds


def _worker(rounds, flags):
    command = [sys.executable, "-m", "benchmarks.speed.folder_run", str(rounds)] + flags
    return json.loads(_call(command)[0].splitlines()[-1])


def _flags(load, images, out, threads, more=()):
    flags = ["--load", load, "--data_path", images, "--outdir", out, "--gpu", "-1"]
    return flags + ["--workers", str(threads)] + list(more)


def throughput_row(name, count, seconds, bound=None):
    """One row of the record.

    Args:
        name: str, the network.
        count: images of a round.
        seconds: ``session`` and ``demo``, lists of seconds a round.
        bound: least share of the session's throughput, or ``None``.
    """
    row = {"network": name, "pictures": count, "rounds": len(seconds["demo"])}
    for key in ("session", "demo"):
        row[key + "_pictures_per_second"] = spread(count / np.asarray(seconds[key]), 2)
    row["share"] = ratio(seconds["session"], seconds["demo"])
    if bound is not None:
        row["bound"] = bounded(row["share"], AT_LEAST, bound)
    return row


def singles_row(count, folder_seconds, single_seconds):
    """One run of the script on the whole folder beside one an image.

    Args:
        count: images of the folder.
        folder_seconds: list of the seconds of runs on the folder.
        single_seconds: list of the seconds of runs on an image: as many, or fewer.
    """
    whole = float(np.mean(single_seconds)) * count
    row = {
        "pictures": count,
        "folder_seconds": spread(folder_seconds, 2),
        "single_seconds": spread(single_seconds, 2),
        "single_runs": len(single_seconds),
        "extrapolated": len(single_seconds) < count,
        "times": spread(whole / np.asarray(folder_seconds), 1),
    }
    row["bound"] = bounded(row["times"], AT_LEAST, SINGLES_BOUND)
    return row


def memory_row(few, many, megabytes):
    """Peak memory by the number of images.

    Args:
        few, many: numbers of images.
        megabytes: two lists, the peaks of runs on few and on many images.
    """
    row = {"pictures": [few, many], "megabytes": [spread(values, 1) for values in megabytes]}
    row["ratio"] = ratio(megabytes[1], megabytes[0])
    row["bound"] = bounded(row["ratio"], AT_MOST, MEMORY_BOUND)
    return row


def measure(options):
    """What the record holds of the demo.

    Args:
        options: :class:`benchmarks.speed.options.Options`.

    Returns:
        ordered ``batch``, ``throughput`` (rows), ``singles`` and ``memory``.
    """
    few = QUICK_IMAGES if options.quick else IMAGES
    many = QUICK_MANY if options.quick else MANY
    found = {"batch": make_parser("").get_default("batch"), "throughput": []}
    with tempfile.TemporaryDirectory() as folder:
        images, more = os.path.join(folder, "few"), os.path.join(folder, "many")
        out = os.path.join(folder, "out")
        make_images(images, few)
        make_images(more, many)
        full = os.path.join(folder, "full.npz")
        network.write(full)
        whole = "VGG16-GAP, 224 x 224"
        cases = [
            (whole, full, (), min(options.rounds, FULL_ROUNDS), THROUGHPUT_BOUND),
            (whole + ", --fast", full, ("--fast",), min(options.rounds, FULL_ROUNDS), None),
            ("the shipped one, width 1/4, 112 x 112", SHIPPED_CHECKPOINT, (), options.rounds, None),
        ]
        for name, load, flags, rounds, bound in tqdm(cases, desc="networks"):
            seconds = _worker(rounds, _flags(load, images, out, options.threads, flags))
            found["throughput"].append(throughput_row(name, few, seconds, bound))
        found["singles"] = _singles(options, images, few, out)
        found["memory"] = _memory(options, (images, more), (few, many), out)
    return found


def _singles(options, images, count, out):
    paths = list_images(images)
    paths = paths[: QUICK_SINGLES if options.quick else SINGLES]
    # The runs on the folder are spread over those on single images, in case the machine drifts.
    rounds = min(options.rounds, len(paths))
    at = set(np.linspace(0, len(paths) - 1, rounds).round().astype(int).tolist())
    folder_seconds, single_seconds = [], []
    for index, path in enumerate(tqdm(paths, desc="runs of the script")):
        if index in at:
            flags = _flags(SHIPPED_CHECKPOINT, images, out, options.threads)
            folder_seconds.append(_call([sys.executable, SCRIPT] + flags)[1])
        flags = _flags(SHIPPED_CHECKPOINT, path, out, options.threads)
        single_seconds.append(_call([sys.executable, SCRIPT] + flags)[1])
    return singles_row(count, folder_seconds, single_seconds)


def _memory(options, folders, counts, out):
    megabytes = [[], []]
    for _ in tqdm(range(MEMORY_ROUNDS), desc="memory"):
        for values, folder in zip(megabytes, folders):
            flags = _flags(SHIPPED_CHECKPOINT, folder, out, options.threads)
            values.append(_worker(0, flags)["megabytes"])
    return memory_row(counts[0], counts[1], megabytes)


def _bound(row):
    bound = row.get("bound")
    if bound is None:
        return ""
    return "{} {:g}{}".format(bound["kind"], bound["bound"], "" if bound["met"] else " (missed)")


def _spread(value, form="{:.2f}"):
    text = f"{form} ({form}\u2013{form})"
    return text.format(value["median"], value["least"], value["most"])


def table(section):
    """The README's table of the section."""
    rows = [
        [
            "{}: images a second, over the session's alone".format(row["network"]),
            _spread(row["share"]),
            _bound(row),
        ]
        for row in section["throughput"]
    ]
    one, memory = section["singles"], section["memory"]
    text = "time of {} runs{} over one run on the folder".format(
        one["pictures"], " (from {})".format(one["single_runs"]) if one["extrapolated"] else ""
    )
    rows.append([text, _spread(one["times"], "{:.1f}"), _bound(one)])
    text = "peak memory with {1} images over {0}".format(*memory["pictures"])
    rows.append([text, _spread(memory["ratio"]), _bound(memory)])
    return tabulate.tabulate(
        rows, headers=["The demo on a folder", "ratio", "bound"], tablefmt="github"
    )
