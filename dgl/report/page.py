"""The report of an evaluation: one HTML file that holds all it shows and opens without a network.

Fixed-threshold results and wsolevaluation results stand in tables and plots of their own, each under
its name; they are different protocols and their numbers are not comparable. Without a script the page
shows everything; with one, the gallery is sorted and filtered.
"""

import base64
import json
import os
from typing import Any, Mapping, NamedTuple, Optional, Sequence

import jinja2

from dgl.errors import UserError
from dgl.report.columns import MISSING, interval, number
from dgl.report.image_list import picture_list
from dgl.report.sections import (
    alpha_section,
    case_section,
    plain_table,
    protocol_sections,
    selection_section,
)
from dgl.utils.files import write_atomically

PLOTS = "plots"

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_TEMPLATE = "report.html.j2"
_SIGNATURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


def write_report(
    out_dir: str,
    metrics: Mapping[str, Any],
    run: Mapping[str, Any],
    gallery: Sequence[Mapping[str, Any]],
) -> str:
    """Write ``index.html``, and the plots it embeds also as files in ``plots/``.

    What a record lacks leaves its part of the page out; only one protocol is a must.

    Args:
        out_dir: str, the folder of the report; the gallery's images are in it already.
        metrics: dict of ``metrics.json``: ``protocols`` with ``fixed_threshold`` and
            ``wsolevaluation`` (one of the two may be missing), and ``versions``, ``seed``, ``model``,
            ``data``, ``classification``, ``selection``, ``alpha``, ``errors``, ``boxes_clipped`` and
            ``boxes_outside`` where known. Accuracies and errors are in percent, thresholds and IoUs
            in [0, 1]; ``<figure>_interval`` is the 95 % interval [low, high] of ``<figure>``.
        run: dict ``command``, ``started``, ``finished`` (str) and ``seconds`` (float).
        gallery: list of dicts ``file`` (path below ``out_dir``, ``/`` between its parts; JPEG or
            PNG), ``id``, ``ious`` (entry name -> IoU or ``None``) and, where known, ``cases`` (entry
            name -> ``"right"``, ``"part"``, ``"more"``, ``"elsewhere"`` or ``None``),
            ``true_class``, ``predicted_class``, ``probability`` in [0, 1] and ``correct`` (bool).

    Returns:
        str, the path of ``index.html``.

    Raises:
        UserError: no protocol, a row without a method or layer, an image of the gallery that is not
            there, nowhere to write.
    """
    index = os.path.join(str(out_dir), "index.html")
    try:
        page = _render(str(out_dir), metrics, run or {}, list(gallery))
    except KeyError as error:
        raise UserError(
            f"{index}: the metrics or the gallery lack {error}, expected a complete record"
        ) from error
    # A file name that is no valid text must not keep the rest of the report from being written.
    write_atomically(index, page.encode("utf-8", "replace"))
    return index


def data_uri(path: str) -> str:
    """The address that holds a PNG or JPEG file itself.

    Raises:
        UserError: the file cannot be read or is neither.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected an image") from error
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return "data:{};base64,{}".format(kind, base64.b64encode(data).decode("ascii"))
    raise UserError(f"{path}: expected a JPEG or PNG image")


def png_width(path: str) -> int:
    """Width of a PNG file in pixels."""
    with open(path, "rb") as stream:
        return int.from_bytes(stream.read(20)[16:20], "big")


def _render(out_dir, metrics, run, gallery):
    if not any((metrics.get("protocols") or {}).values()):
        raise KeyError("protocols")
    plots = os.path.join(out_dir, PLOTS)
    sections = protocol_sections(metrics, plots)
    others = (
        selection_section(metrics),
        alpha_section(metrics, plots),
        case_section(metrics, gallery),
    )
    sections += [section for section in others if section]
    for section in sections:
        for plot in section["plots"]:
            path = os.path.join(plots, plot["name"])
            # Two pixels of the file to one of the page, so that all charts have the same size of text.
            plot.update(src=data_uri(path), width=png_width(path) // 2)
    iou = (metrics["protocols"].get("fixed_threshold") or {}).get("iou") or 0.5
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(_TEMPLATE).render(
        summary=_summary(metrics),
        command=run.get("command"),
        facts=_facts(metrics, run),
        figures=_figures(metrics),
        notes=_notes(metrics),
        sections=sections,
        literature=_literature(),
        source=SOURCE,
        gallery=picture_list(out_dir, gallery, data_uri, iou),
        iou=iou,
    )


def _summary(metrics):
    model, data = metrics.get("model") or {}, metrics.get("data") or {}
    network = [model["mode"] + " on"] if model.get("mode") else []
    place = ", ".join(str(data[key]) for key in ("name", "split") if data.get(key) is not None)
    sizes = [
        f"{record[key]} {key}"
        for record, key in ((data, "images"), (model, "classes"))
        if record.get(key) is not None
    ]
    return " ".join(network + [place or "data"]) + (": " + ", ".join(sizes) if sizes else "")


def _facts(metrics, run):
    """[(heading, [(name, value)])] of what was run; whatever the record holds is shown."""
    own = [
        (name, str(run[name]).replace("T", " "))
        for name in ("started", "finished")
        if run.get(name) is not None
    ]
    if run.get("seconds") is not None:
        own.append(("time", _duration(run["seconds"])))
    if metrics.get("seed") is not None:
        own.append(("seed", metrics["seed"]))
    parts = [("Model", metrics.get("model")), ("Data", metrics.get("data"))]
    facts = [(title, [(n.replace("_", " "), v) for n, v in p.items()]) for title, p in parts if p]
    facts += [("Run", own)]
    facts += [("Versions", list((metrics.get("versions") or {}).items()))]
    return [
        (title, [(name, _fact(value)) for name, value in pairs]) for title, pairs in facts if pairs
    ]


def _fact(value):
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, float):
        return f"{value:g}"
    return MISSING if value is None else str(value)


def _duration(seconds):
    minutes, rest = divmod(int(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _figures(metrics):
    """The classification errors, large: (name, text, interval or ``None``)."""
    errors = metrics.get("classification") or {}
    return [
        (
            f"Top-{k} error",
            number(errors[key], 1) + " %",
            interval(errors.get(key + "_interval"), 1),
        )
        for k, key in ((1, "top1_error"), (5, "top5_error"))
        if errors.get(key) is not None
    ]


def _notes(metrics):
    """What a reader should know before the figures."""
    texts = (
        ("errors", "1 image could not be read.", "{} images could not be read."),
        (
            "boxes_clipped",
            "1 true box reached over its image and was clipped.",
            "{} true boxes reached over their images and were clipped.",
        ),
        (
            "boxes_outside",
            "1 true box lay outside its image and does not count.",
            "{} true boxes lay outside their images and do not count.",
        ),
    )
    return [
        one if metrics[key] == 1 else many.format(metrics[key])
        for key, one, many in texts
        if metrics.get(key)
    ]


def _literature():
    rows = [
        (
            [result.method, result.backbone, result.data_set],
            [number(result.top1_loc, 1), number(result.gt_known, 1)],
        )
        for result in LITERATURE
    ]
    return plain_table(["Method", "Backbone", "Data set"], ["Top-1 Loc", "GT-known"], rows)


# Published localization results, to stand beside own ones and never among them.

SOURCE = (
    "Secondary source: a community list of results, not the papers themselves. The DGL paper's own "
    "table is not at hand, so no figure of DGL is quoted."
)


class PublishedResult(NamedTuple):
    """One published result.

    Attributes:
        method: str, as its paper calls it.
        backbone: str.
        data_set: ``"CUB"`` or ``"ILSVRC"``.
        top1_loc: float, Top-1 localization in percent.
        gt_known: float, GT-known localization in percent, or ``None`` where none is given.
    """

    method: str
    backbone: str
    data_set: str
    top1_loc: float
    gt_known: Optional[float]


LITERATURE = (
    PublishedResult("CAM", "VGG16", "CUB", 44.2, 56.0),
    PublishedResult("ADL", "VGG16", "CUB", 52.4, 75.4),
    PublishedResult("SPG", "InceptionV3", "CUB", 46.6, None),
    PublishedResult("ADL", "InceptionV3", "CUB", 53.0, None),
    PublishedResult("CAM", "VGG16", "ILSVRC", 42.8, 59.0),
    PublishedResult("ADL", "VGG16", "ILSVRC", 44.9, None),
    PublishedResult("CAM", "InceptionV3", "ILSVRC", 46.3, 62.7),
    PublishedResult("SPG", "InceptionV3", "ILSVRC", 48.6, 64.7),
    PublishedResult("ADL", "InceptionV3", "ILSVRC", 48.7, None),
    PublishedResult("I2C", "InceptionV3", "ILSVRC", 53.1, 68.5),
)
