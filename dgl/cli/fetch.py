"""`dgl fetch`: published weights from where their publishers have them, ready for `--load`."""

import argparse
import os
from typing import Any, Dict, List

from dgl.cli import flags
from dgl.errors import UserError
from dgl.utils.files import cache_folder
from dgl.utils.table import format_table


def _add_flags(parser: argparse.ArgumentParser) -> None:
    groups = flags.add_groups(parser)
    add = groups["main"].add_argument
    add(
        "name", nargs="?", metavar="NAME",
        help="short name of --load, such as vgg16, or a published file name of --list",
    )  # fmt: skip
    add(
        "--list", action="store_true", help="list names, sizes, licenses, and what is there already"
    )
    groups["input"].add_argument(
        "--from", dest="brought", metavar="FILE",
        help="the published file, if it was downloaded by hand; nothing is downloaded then",
    )  # fmt: skip
    flags.add_first_layer(groups["model"])
    flags.add_json(groups["output"], "a summary or the list")


def _run(args: argparse.Namespace) -> int:
    if args.list == (args.name is not None):
        raise UserError("dgl fetch: expected either a NAME, such as vgg16, or --list")
    with flags.answering(args) as answer:
        if args.list:
            rows = _rows()
            answer(rows, _table(rows))
        else:
            from dgl.weights.fetch import fetch

            fetched = fetch(args.name, args.brought, args.keep_first_layer)
            answer(_summary(fetched), _sentence(fetched))
    return 0


def _rows() -> List[Dict[str, Any]]:
    from dgl.weights.fetch import Record, is_ready
    from dgl.weights.sources import sources

    record = Record()
    return [
        {
            "names": list(source.names),
            "mode": source.backbone.mode,
            "publisher": source.publisher,
            "url": source.file.url,
            "megabytes": source.file.megabytes,
            "license": source.file.license,
            "digest": source.file.digest or None,
            "sha256": record.files.get(source.file.url, {}).get("sha256"),
            "downloaded": source.download_path if os.path.isfile(source.download_path) else None,
            "ready": source.out if is_ready(source, record) else None,
        }
        for source in sources()
    ]


def _table(rows: List[Dict[str, Any]]) -> str:
    shown = [
        {
            "name": ", ".join(row["names"]),
            "mode": row["mode"],
            "MB": "" if row["megabytes"] is None else f"{row['megabytes']:.1f}",
            "publisher": row["publisher"],
            "license": row["license"],
            "there": "ready" if row["ready"] else "downloaded" if row["downloaded"] else "",
        }
        for row in rows
    ]
    return f"{format_table(shown)}\n\nCache folder (DGL_HOME): {cache_folder()}"


def _summary(fetched: Any) -> Dict[str, Any]:
    source = fetched.source
    return {
        "out": fetched.out,
        "load": source.load,
        "mode": source.backbone.mode,
        "publisher": source.publisher,
        "url": source.file.url,
        "license": source.file.license,
        "sha256": fetched.sha256,
        "checked": fetched.checked,
        "is_new": fetched.is_new,
    }


def _sentence(fetched: Any) -> str:
    source = fetched.source
    done = "wrote" if fetched.is_new else "already there:"
    return (
        f"{done} {fetched.out} from {source.file.url} ({source.publisher}; license: "
        f"{source.file.license})\n"
        f"SHA-256 {fetched.sha256}: {fetched.checked}\n"
        f"for --mode {source.backbone.mode} --load {source.load}"
    )


FETCH = flags.Command(
    name="fetch",
    help="download published ImageNet weights and released checkpoints, ready for --load",
    examples=(
        "dgl fetch --list",
        "dgl fetch vgg16",
        "dgl fetch resnet50-0676ba61.pth",
        "dgl fetch vgg16 --from ~/Downloads/vgg16.npz",
    ),
    add_flags=_add_flags,
    run=_run,
)
