"""Report of an evaluation: what was run, the tables, and the page, one self-contained HTML file.

The two protocols have separate tables and charts, since their numbers are not comparable. Without
JavaScript the page shows everything; with it, the gallery can be sorted and filtered.
"""

import base64
import datetime
import json
import mimetypes
import os
import shlex
import sys
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import jinja2
from PIL import Image

from dgl.backbones import BACKBONES
from dgl.errors import UserError
from dgl.report.gallery import CASES, in_order, script_index
from dgl.report.page_sections import (
    alpha_section,
    case_section,
    mosaic_section,
    plain_table,
    protocol_sections,
    selection_section,
)
from dgl.report.tables import MISSING, interval, number, write_tables
from dgl.utils.files import write_atomically, write_json

PLOTS = "plots"

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_TEMPLATE = "report.html.j2"

# Published results: method, backbone, data set, Top-1 and, where published, GT-known Loc in percent.
LITERATURE: Tuple[Tuple[str, str, str, float, Optional[float]], ...] = (
    ("CAM", "VGG16", "CUB", 44.2, 56.0),
    ("ADL", "VGG16", "CUB", 52.4, 75.4),
    ("SPG", "InceptionV3", "CUB", 46.6, None),
    ("ADL", "InceptionV3", "CUB", 53.0, None),
    ("CAM", "VGG16", "ILSVRC", 42.8, 59.0),
    ("ADL", "VGG16", "ILSVRC", 44.9, None),
    ("CAM", "InceptionV3", "ILSVRC", 46.3, 62.7),
    ("SPG", "InceptionV3", "ILSVRC", 48.6, 64.7),
    ("ADL", "InceptionV3", "ILSVRC", 48.7, None),
    ("I2C", "InceptionV3", "ILSVRC", 53.1, 68.5),
)


def write_results(
    out: str, metrics: Dict[str, Any], gallery: List[Dict[str, Any]], started: float
) -> str:
    """Write ``run.json``, the tables and the page, and return the page's path.

    Args:
        out: folder of the evaluation.
        metrics: as :func:`dgl.evaluation.summary.compute_metrics` computes them.
        gallery: records of :mod:`dgl.report.gallery`.
        started: ``time.time()`` at the start of the run.
    """
    finished, command = time.time(), _command_line(sys.argv)
    # Not in metrics.json, which is the same for every run of the same evaluation.
    run = {
        "command": command,
        "started": _iso(started),
        "finished": _iso(finished),
        "seconds": round(finished - started, 1),
    }
    write_json(os.path.join(out, "run.json"), run)
    write_tables(out, metrics, command)
    return write_report(out, metrics, run, gallery)


def _command_line(argv: Sequence[str]) -> str:
    """The command as typed: scripts are run by python, the installed ``dgl`` by itself."""
    is_dgl = os.path.splitext(os.path.basename(argv[0]))[0] == "dgl"
    start = ["dgl"] if is_dgl else ["python", argv[0]]
    return " ".join(shlex.quote(word) for word in start + list(argv[1:]))


def _iso(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.replace(microsecond=0).isoformat()


def write_report(
    out_dir: str,
    metrics: Mapping[str, Any],
    run: Mapping[str, Any],
    gallery: Sequence[Mapping[str, Any]],
) -> str:
    """Write ``index.html``, and the plots it embeds also as files in ``plots/``.

    Args:
        out_dir: folder of the report, with the images of the gallery.
        metrics: content of ``metrics.json``. Accuracies and errors are in percent, thresholds and IoUs
            in [0, 1]; ``<figure>_interval`` is the 95 % interval [low, high] of ``<figure>``.
        run: ``command``, ``started``, ``finished`` (str) and ``seconds`` (float).
        gallery: records of :mod:`dgl.report.gallery`.

    Returns:
        path of ``index.html``.

    Raises:
        UserError: an image of the gallery is missing, or a file cannot be written.
    """
    plots = os.path.join(out_dir, PLOTS)
    others = (
        selection_section(metrics),
        mosaic_section(metrics),
        alpha_section(metrics, plots),
        case_section(metrics, gallery),
    )
    sections = protocol_sections(metrics, plots) + [section for section in others if section]
    for section in sections:
        for plot in section["plots"]:
            path = os.path.join(plots, plot["name"])
            # Half the width of the file, so that text has the same size in all charts.
            with Image.open(path) as image:
                plot.update(src=data_uri(path), width=image.width // 2)
    classes = sorted({item["true_class"] for item in gallery})
    seen = {case for item in gallery for case in item["cases"].values()}
    cases = {key: text for key, text in CASES.items() if key in seen}
    iou = metrics["protocols"].get("fixed_threshold", {}).get("iou", 0.5)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(number=number, interval=interval)
    gallery = in_order(gallery)
    page = environment.get_template(_TEMPLATE).render(
        summary=_summary(metrics),
        metrics=metrics,
        run=run,
        facts=_facts(metrics, run),
        sections=sections,
        literature=_literature(),
        gallery=gallery,
        embed=lambda file: data_uri(os.path.join(out_dir, *file.split("/"))),
        classes=classes,
        cases=cases,
        index=script_index(gallery, classes, list(cases), iou),
        iou=iou,
    )
    index = os.path.join(out_dir, "index.html")
    # A file name may hold bytes that are not valid text.
    write_atomically(index, page.encode("utf-8", "replace"))
    return index


def data_uri(path: str) -> str:
    """A ``data:`` URL that holds an image file."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected an image") from error
    kind = mimetypes.guess_type(path)[0]
    return "data:{};base64,{}".format(kind, base64.b64encode(data).decode("ascii"))


def _summary(metrics: Mapping[str, Any]) -> str:
    model, data = metrics.get("model", {}), metrics["data"]
    network = [model["mode"], "on"] if model else []
    place = ", ".join(data[key] for key in ("name", "split") if key in data)
    classes = f", {model['classes']} classes" if model else ""
    return " ".join([*network, place]) + f": {data['images']} images{classes}"


def _facts(
    metrics: Mapping[str, Any], run: Mapping[str, Any]
) -> List[Tuple[str, List[Tuple[str, str]]]]:
    """(heading, [(name, value)]) for model, data, run and versions."""
    own = {name: run[name].replace("T", " ") for name in ("started", "finished")}
    own.update(time=_duration(run["seconds"]), seed=metrics["seed"])
    model = dict(metrics.get("model", {}))
    backbone = BACKBONES.get(model.get("mode", ""))
    if backbone is None or len(backbone.norms) == 1:
        model.pop("norm", None)  # which says something only where there is a choice
    parts = {"Model": model, "Data": metrics["data"], "Run": own, "Versions": metrics["versions"]}
    return [
        (title, [(name.replace("_", " "), _fact(value)) for name, value in part.items()])
        for title, part in parts.items()
        if part
    ]


def _fact(value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, float):
        return f"{value:g}"
    return MISSING if value is None else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _literature() -> Dict[str, Any]:
    rows = [(row[:3], [number(percent, 1) for percent in row[3:]]) for row in LITERATURE]
    return plain_table(["Method", "Backbone", "Data set"], ["Top-1 Loc", "GT-known"], rows)
