"""A small VGG and its data for tests of `evaluate_localization.py`: flags, runs, and what they wrote."""

from dgl.cli.evaluate import make_parser, run

CLASSES, SIZE, IMAGES = 7, 64, 5


def parse(folder, *flags):
    given = ["--load", folder / "tiny.npz", "--data", folder / "data"]
    return make_parser("Evaluate.").parse_args([str(flag) for flag in given + list(flags)])


def entries_of(metrics, protocol):
    rows = metrics["protocols"][protocol]["rows"]
    return {"{method}@{layer}".format(**row): row for row in rows}


def metrics_of(out):
    return (out / "metrics.json").read_bytes()


def evaluate_many(folder, many, out, *flags):
    flags = ("--data", many, "--out", out, "--batch", 2, "--gallery", 3, "--resamples", 50) + flags
    assert run(parse(folder, *flags)) in (0, 1)  # 1 where an image cannot be read
    return metrics_of(out) if (out / "metrics.json").exists() else None
