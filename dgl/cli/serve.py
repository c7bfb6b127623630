"""`dgl serve`: the page, see docs/page.md."""

import argparse
from typing import Any

NAME = "serve"
HELP = "open a page to explore checkpoints in a browser: maps and boxes at once"
EXAMPLES = (
    "dgl serve",
    "dgl serve --load train_log/vgg_birds train_log/resnet50_birds --keep 2",
    "dgl serve --port 8000 --max-megabytes 10 --max-megapixels 12",
)


def _number(low, high, kind):
    def parse(text):
        try:
            value: Any = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}: expected a number from {low:g} to {high:g}")
        return value

    return parse


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the page."""
    parser.add_argument(
        "--load",
        nargs="+",
        metavar="CKPT",
        help="checkpoints to choose from (the one that comes with the project)",
    )
    parser.add_argument("--dataset", choices=("imagenet", "cub"), help="which head, if several")
    parser.add_argument("--gpu", help="GPU to use (-1: the CPU)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument(
        "--port", type=_number(0, 65535, int), default=7860, help="port; 0 takes a free one"
    )
    parser.add_argument(
        "--keep", type=_number(1, 64, int), default=2, help="networks in memory at most"
    )
    parser.add_argument(
        "--queue", type=_number(1, 10000, int), default=32, help="requests that wait at most"
    )
    parser.add_argument(
        "--max-megabytes", type=_number(0.001, 1000, float), default=20.0, help="of an upload"
    )
    parser.add_argument(
        "--max-megapixels", type=_number(0.001, 100, float), default=25.0, help="of an upload"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it; Ctrl-C is the usual one, and leads to exit code 130."""
    from dgl.data.bundled import SHIPPED_CHECKPOINT
    from dgl.serving.limits import MEGA, Limits
    from dgl.serving.server import Settings, serve

    limits = Limits(int(args.max_megabytes * MEGA), int(args.max_megapixels * MEGA))
    serve(
        Settings(
            loads=args.load or [SHIPPED_CHECKPOINT],
            host=args.host,
            port=args.port,
            keep=args.keep,
            limits=limits,
            most_waiting=args.queue,
            gpu=args.gpu,
            data_set=args.dataset,
        )
    )
    return 0
