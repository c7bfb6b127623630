"""`dgl serve`: a web page of maps, or boxes over HTTP (--api). `dgl review`: a page to correct labels."""

import argparse
from typing import Any, Callable

from dgl.attribution import METHODS
from dgl.cli import flags, localize
from dgl.cli.flags import number
from dgl.errors import UserError, printable


def _add_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add(
        "--load",
        nargs="+",
        metavar="CKPT",
        help="checkpoints, models of others, or short names of ImageNet weights, to offer (default: "
        "EfficientNet-Lite0's, and the bundled one of drawn birds)",
    )
    add("--api", action="store_true", help="answer scripts instead: POST an image, JSON comes back")
    _add_address_flags(add, 7860)
    add = groups["input"].add_argument
    megabytes, megapixels = number(float, 0.001, 1000), number(float, 0.001, 100)
    add("--max-megabytes", type=megabytes, default=20.0, help="largest upload in megabytes")
    add("--max-megapixels", type=megapixels, default=25.0, help="largest upload in megapixels")
    flags.add_head(groups["model"])
    flags.add_foreign(groups["model"])
    add = groups["map"].add_argument
    add(
        "--layer", "--clayer",
        help="layer of the map, with --api: index or name (default: the backbone's)",
    )  # fmt: skip
    add("--method", choices=list(METHODS), help="attribution method, with --api (default: dgl)")
    add = groups["box"].add_argument
    add(
        "--threshold", type=number(float, 0, 1),
        help="fraction of the map's maximum that counts as object, with --api (default: the backbone's)",
    )  # fmt: skip
    add = groups["speed"].add_argument
    flags.add_gpu(groups["speed"])
    add("--keep", type=number(int, 1, 64), default=2, help="networks to keep in memory")
    add("--queue", type=number(int, 1, 10000), default=32, help="requests that may wait")
    add(
        "--batch", type=number(int, 1, 4096),
        help="images per run of the network, with --api (default: 8)",
    )  # fmt: skip


def _add_address_flags(add: Callable[..., Any], port: int) -> None:
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=number(int, 0, 65535), default=port, help="port; 0 selects a free one")


def _add_review_flags(parser: argparse.ArgumentParser) -> None:
    add = flags.add_groups(parser)["main"].add_argument
    add("out", metavar="OUT", help="output folder of `dgl label`")
    _add_address_flags(add, 7861)


def _run(args: argparse.Namespace) -> int:
    from dgl.serving.sessions import MEGA, Limits

    limits = Limits(int(args.max_megabytes * MEGA), int(args.max_megapixels * MEGA))
    if args.api:
        _serve_api(args, limits)
        return 0
    for flag in ("layer", "method", "threshold", "batch"):
        if getattr(args, flag) is not None:
            raise UserError(f"--{flag}: expected --api with it; the page has controls of its own")
    from dgl.backbones import DEFAULT_MODE
    from dgl.datasets import SHIPPED_CHECKPOINT
    from dgl.evaluation.plan import foreign_model_of
    from dgl.serving.server import Settings, serve
    from dgl.weights.foreign_model import model_kind
    from dgl.weights.identify import default_weights

    models = [load for load in args.load or () if model_kind(load) is not None]
    foreign = foreign_model_of(argparse.Namespace(**dict(vars(args), load=(models or [None])[0])))
    serve(
        Settings(
            loads=args.load or [default_weights(DEFAULT_MODE, None)[1], SHIPPED_CHECKPOINT],
            host=args.host,
            port=args.port,
            keep=args.keep,
            limits=limits,
            most_waiting=args.queue,
            gpu=args.gpu,
            data_set=args.dataset,
            foreign=foreign,
        )
    )
    return 0


def _serve_api(args: argparse.Namespace, limits: Any) -> None:
    """Answer scripts until interrupted, with the network, layer and threshold of `dgl localize`."""
    if args.load and len(args.load) > 1:
        raise UserError(f"--load: expected one checkpoint with --api, got {len(args.load)}")
    parser = argparse.ArgumentParser()
    localize.add_flags(parser)
    chosen = parser.parse_args([])
    given = {name: value for name, value in vars(args).items() if value is not None}
    vars(chosen).update(given, load=args.load and args.load[0], clayer=args.layer)
    from dgl.cli.localize_images import make_predictor  # TensorFlow takes seconds to load
    from dgl.predict.postprocess import parse_normalization
    from dgl.serving.api import ApiSettings, serve_api

    with make_predictor(chosen) as predictor:
        path = printable(predictor.path)
        print(f"{path}: {predictor.backbone.mode}, {predictor.classes} classes")
        settings = ApiSettings(
            args.host,
            args.port,
            limits,
            args.queue,
            chosen.batch,
            chosen.threshold,
            parse_normalization(chosen.normalize),
        )
        entry = next(entry for entry in predictor.entries if entry[0] == chosen.method)
        serve_api(predictor, entry, settings)


def _run_review(args: argparse.Namespace) -> int:
    from dgl.serving.review import serve_review

    serve_review(args.out, args.host, args.port)
    return 0


SERVE = flags.Command(
    name="serve",
    help="open a page in a browser that shows the maps and boxes of checkpoints",
    examples=(
        "dgl serve",
        "dgl serve --load train_log/vgg_birds train_log/resnet50_birds --keep 2",
        "dgl serve --api --port 8000",
        "dgl serve --port 8000 --max-megabytes 10 --max-megapixels 12",
    ),
    add_flags=_add_flags,
    run=_run,
)

REVIEW = flags.Command(
    name="review",
    help="open a page in a browser on which a person accepts and corrects the boxes of `dgl label`",
    examples=("dgl review labels", "dgl review labels --port 8000"),
    add_flags=_add_review_flags,
    run=_run_review,
)
