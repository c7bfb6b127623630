"""A small VGG and its data for tests of `evaluate_localization.py`: flags, runs, and what they wrote."""

import json

from networks import vgg_variables
from sample_images import blob_image

from dgl.cli.evaluate import make_parser, run
from dgl.weights import ModelCard, save_npz, write_card

CLASSES, SIZE, IMAGES = 7, 64, 5


def write_network(folder):
    """A checkpoint ``tiny.npz`` with its card; returns its variables."""
    variables = vgg_variables(CLASSES)
    save_npz(str(folder / "tiny.npz"), variables)
    write_card(str(folder / "tiny.json"), ModelCard("vgg", SIZE))
    return variables


def blob_rows(count, name="{}.jpg", seed=0, classes=CLASSES, box=(9, 9, 70, 60)):
    """Images for a list: their names, pixels, classes and one box each."""
    return [
        (name.format(i), blob_image(seed + i + 1, 90, 120), i % classes, [box])
        for i in range(count)
    ]


def parse(folder, *flags):
    given = ["--load", folder / "tiny.npz", "--data", folder / "data"]
    return make_parser("Evaluate.").parse_args([str(flag) for flag in given + list(flags)])


def command(*flags):
    """Run the command with these flags alone; returns the exit code."""
    return run(make_parser("Evaluate.").parse_args([str(flag) for flag in flags]))


def evaluate_many(folder, many, out, *flags):
    """Evaluate quickly; returns the bytes of the metrics, ``None`` of a shard."""
    flags = ("--data", many, "--out", out, "--batch", 2, "--gallery", 3, "--resamples", 50) + flags
    assert run(parse(folder, *flags)) in (0, 1)  # 1 where an image cannot be read
    return bytes_of(out) if (out / "metrics.json").exists() else None


def bytes_of(out):
    return (out / "metrics.json").read_bytes()


def metrics_of(out):
    return json.loads((out / "metrics.json").read_text(encoding="utf-8"))


def entries_of(metrics, protocol):
    rows = metrics["protocols"][protocol]["rows"]
    return {"{method}@{layer}".format(**row): row for row in rows}
