"""From parsed flags to what is evaluated: data sets, the predictor's arguments, and plans."""

import math
import os
import platform
from argparse import Namespace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import cv2
import numpy

from dgl import __version__
from dgl.data.layouts import check_files, load_data
from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.evaluation.fusion import Fusion, make_fusions
from dgl.evaluation.plan import Plan, images_fingerprint
from dgl.utils.files import weights_fingerprint


def versions(with_tensorflow: bool = True) -> Dict[str, str]:
    """Ordered name -> version of everything that figures may depend on."""
    found = {"dgl": __version__, "python": platform.python_version()}
    if with_tensorflow:
        from dgl.tf_compat import tf

        found["tensorflow"] = tf.VERSION
    found.update(numpy=numpy.__version__, opencv=cv2.__version__)
    return found


def parse_shard(text: Optional[str]) -> Tuple[int, int]:
    """(i, n) of ``i/n``; (1, 1) of ``None``."""
    if text is None:
        return 1, 1
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {text}: expected I/N with I from 1 to N")
    return int(index), int(count)


def load_split(args: Namespace, split: str, spread: Optional[int] = None) -> DataSet:
    """One split, cut by ``--limit``, with every image there or, not strict, at least one.

    Of a list that is sorted by class the first images would be of a few classes only, so ``spread``
    of them are taken evenly.
    """
    dataset = load_data(args.data, split, args.dataname, args.data_format)
    if args.limit:
        del dataset.samples[args.limit :]
    if spread is not None and spread < len(dataset):
        picked = numpy.linspace(0, len(dataset) - 1, spread).round().astype(int)
        dataset.samples[:] = [dataset.samples[position] for position in picked]
    if args.strict or not any(os.path.isfile(sample.path) for sample in dataset.samples):
        check_files(dataset)
    if not any(sample.boxes for sample in dataset.samples):
        raise UserError(
            f"{dataset.name} {dataset.split}: no image has a box, expected boxes to measure localization"
        )
    return dataset


def check_labels(dataset: DataSet, predictor: Any) -> None:
    """Raise :class:`UserError` for labels that the checkpoint has no class for."""
    if dataset.classes > predictor.classes:
        raise UserError(
            f"{dataset.name}: labels of {dataset.classes} classes, but the checkpoint has {predictor.classes}"
        )


def predictor_arguments(args: Namespace, extra: Sequence[Tuple[str, str]] = ()) -> Dict[str, Any]:
    """Keywords of :class:`~dgl.predict.predictor.Predictor`, all but the processor that it computes on."""
    return {
        "mode": args.mode,
        "load": args.load,
        "layers": args.clayer,
        "methods": args.method,
        "alpha": args.pa,
        "image_size": args.image_size,
        "data_set": args.dataset,
        "extra": list(extra),
        "precision": args.precision,
    }


def fusions_of(args: Namespace, predictor: Any) -> List[Fusion]:
    """The fusions that ``--fuse`` asks for."""
    layers = None
    if args.fuse_layers is not None:
        layers = predictor.backbone.layer_names(args.fuse_layers)
    return make_fusions(predictor.entries, list(dict.fromkeys(args.fuse)), layers)


def alpha_entries_of(
    args: Namespace, predictor: Any, selected: Optional[Mapping[str, Any]]
) -> List[Tuple[str, str]]:
    """The entries of the study of alpha: every value by both gradients, at one layer."""
    if not args.alphas:
        return []
    layer = args.alpha_layer
    if layer is None:
        chosen = [r["layer"] for r in (selected or {}).get("rows", ()) if r["chosen"]]
        own = [r["layer"] for r in (selected or {}).get("rows", ()) if r["method"] == "dgl"]
        known = [name for name in own if name in chosen and name in predictor.backbone.layers]
        layer = known[0] if known else predictor.backbone.layer_names(args.clayer)[0]
    layer = predictor.backbone.layer_name(layer)
    return [
        ("dgl(pa={}{})".format(alpha, "" if semantics == "kernel" else ",exact"), layer)
        for semantics in ("kernel", "exact")
        for alpha in dict.fromkeys(args.alphas)
    ]


def make_plan(
    args: Namespace,
    predictor: Any,
    dataset: DataSet,
    fusions: Sequence[Fusion],
    thresholds: Optional[Dict[str, Dict[str, float]]] = None,
    alpha_entries: Sequence[Tuple[str, str]] = (),
    is_selecting: bool = False,
) -> Plan:
    """The :class:`~dgl.evaluation.plan.Plan` of one split."""
    own = [entry for entry in predictor.entries if entry not in alpha_entries]
    return Plan(
        protocols=tuple(dict.fromkeys(args.protocol)),
        entries=tuple(own + [fusion.entry for fusion in fusions]),
        alpha_entries=tuple(alpha_entries),
        threshold=args.threshold,
        thresholds=thresholds or {},
        selecting=is_selecting,
        step=args.cam_interval,
        batch=args.batch,
        masks=any(sample.mask_paths for sample in dataset.samples),
        classes=predictor.classes,
        model={
            "mode": args.mode,
            "load": args.load,
            "image_size": predictor.image_size,
            "classes": predictor.classes,
            "width": predictor.options.width,
            "norm": predictor.options.norm,
            # JSON has no infinity.
            "alpha": args.pa if math.isfinite(args.pa) else "inf",
            "precision": args.precision,
        },
        data={
            "name": dataset.name,
            "layout": dataset.format,
            "split": dataset.split,
            "images": len(dataset),
        },
        versions=versions(),
        class_names=dataset.class_names,
        pictures=images_fingerprint(dataset.samples),
        weights=weights_fingerprint(predictor.path),
    )
