"""`dgl review`: look at the boxes of `dgl label` in a browser, and correct them."""

import argparse

from dgl.cli.output import Command, flag_groups
from dgl.cli.serve import number


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the page."""
    add = flag_groups(parser)["main"].add_argument
    add("out", metavar="OUT", help="output folder of `dgl label`")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=number(0, 65535, int), default=7861, help="port; 0 selects a free one")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; Ctrl-C gives exit code 130."""
    from dgl.serving.review import ReviewSettings, serve_review

    serve_review(ReviewSettings(args.out, args.host, args.port))
    return 0


REVIEW = Command(
    name="review",
    help="open a page in a browser on which a person accepts and corrects the boxes of `dgl label`",
    examples=("dgl review labels", "dgl review labels --port 8000"),
    add_flags=add_flags,
    run=run,
)
