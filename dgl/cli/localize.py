"""`dgl localize`: what `test_code/dome_image_DGL.py` does, for any number of images and folders."""

import argparse

from dgl.cli.output import add_json_flag, answers, line

NAME = "localize"
HELP = "find the object in images: maps, boxes and a record of each"
EXAMPLES = (
    "dgl localize",
    "dgl localize photo.jpg --load train_log/vgg_birds --layer conv5_3 --out output",
    "dgl localize photo.jpg photos/ --out output --json > boxes.jsonl",
    "dgl localize photos/ --method gradcam++ --threshold 0.3 --save-maps --out output",
    "dgl localize photo.jpg --class 3 --alpha inf --out output",
)


class _JsonLines:
    """A JSON object a line for each image: its record and folder, or what is the matter with it."""

    def __init__(self, answer):
        self._answer = answer

    def done(self, record, outdir):
        self._answer(line(dict(record, outdir=outdir)))

    def failed(self, path, error):
        self._answer(line({"image": path, "error": error}))


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the demo."""
    from dgl.cli.localize_flags import add_flags as add_demo_flags

    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURE",
        help="images, and folders of them (the images that come with the project)",
    )
    add_demo_flags(parser, of_command=True)
    add_json_flag(parser, "an object a line for each image")


def run(args: argparse.Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    from dgl.cli import localize_run as demo

    with answers(args.json) as answer:
        return demo.run(args, _JsonLines(answer) if args.json else None)
