"""The batch evaluation and the study, from parsed flags to files."""

import math
import os
import platform
import time
from collections import OrderedDict

import cv2
import numpy

from dgl import __version__
from dgl.data.layouts import check_files, load_data
from dgl.errors import UserError
from dgl.evaluation import pictures, score_command, selection
from dgl.evaluation.entries import make_fusions
from dgl.evaluation.flags import check_flags
from dgl.evaluation.localization import Evaluation
from dgl.evaluation.metrics import (
    chosen_entries,
    compute_metrics,
    image_rows,
    write_errors,
    write_metrics,
)
from dgl.evaluation.plan import Plan, pictures_fingerprint
from dgl.evaluation.report import print_tables, write_results
from dgl.evaluation.scoring import write_metadata
from dgl.evaluation.store import Store, has_records, merge_records, read_records
from dgl.evaluation.table import write_csv
from dgl.fingerprint import weights_fingerprint

SELECTION = "selection"
MAPS = "maps"


def run(args):
    """Carry out parsed flags; returns the exit code."""
    check_flags(args)
    started = time.time()
    if args.maps:
        return score_command.run(args, started, _versions(with_tensorflow=False))
    if args.merge:
        gathered = merge_records(args.merge)
        settled = None
        if gathered.plan.thresholds:
            settled = selection.settle(read_records(os.path.join(args.merge[0], SELECTION)))[1]
        return _report(args, started, gathered, settled)
    return _evaluate(args, started)


def _shard(text):
    """(i, n) of ``i/n``."""
    if text is None:
        return 1, 1
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UserError("--shard {}: expected I/N with I from 1 to N".format(text))
    return int(index), int(count)


def _versions(with_tensorflow=True):
    versions = OrderedDict(dgl=__version__, python=platform.python_version())
    if with_tensorflow:
        from dgl.tf_compat import tf

        versions["tensorflow"] = tf.VERSION
    versions.update(numpy=numpy.__version__, opencv=cv2.__version__)
    return versions


def _load(args, split, spread=None):
    """One split, cut by ``--limit``, with every picture there or, not strict, at least one.

    Of a list that is sorted by class the first pictures would be of a few classes only, so ``spread``
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
            "{} {}: no picture has a box, expected boxes to measure localization".format(
                dataset.name, dataset.split
            )
        )
    return dataset


def _evaluate(args, started):
    shard = _shard(args.shard)
    reported = _load(args, args.split)
    selecting = None
    if args.tune_split is not None:
        selecting = _load(args, args.tune_split, args.tune_limit)
        selection.check_apart(reported, selecting)

    from dgl.localizer import Localizer  # TensorFlow takes seconds to load; --help should not

    def make_localizer(extra=()):
        return Localizer(
            args.mode,
            args.load,
            layers=args.clayer,
            methods=args.method,
            alpha=args.pa,
            image_size=args.image_size,
            data_set=args.dataset,
            gpu=args.gpu,
            extra=extra,
            precision=args.precision,
        )

    localizer = make_localizer()
    try:
        for dataset in filter(None, (reported, selecting)):
            if dataset.classes > localizer.classes:
                raise UserError(
                    "{}: labels of {} classes, but the checkpoint has {}".format(
                        dataset.name, dataset.classes, localizer.classes
                    )
                )
        fusions = _fusions(args, localizer)
        thresholds, settled = {}, None
        if selecting is not None:
            plan = _plan(args, localizer, selecting, fusions, is_selecting=True)
            thresholds, settled = selection.settle(
                _select(args, localizer, selecting, plan, fusions)
            )
        alpha_entries = _alpha_entries(args, localizer, settled)
        if alpha_entries:
            localizer.close()
            localizer = make_localizer(alpha_entries)
        plan = _plan(args, localizer, reported, fusions, thresholds, alpha_entries)
        store = Store(args.out, plan, args.restart)
        maps_folder = os.path.join(args.out, MAPS) if args.save_maps else None
        gathered = Evaluation(
            localizer, reported, plan, fusions, args.workers, args.strict, maps_folder
        ).run(store, shard)
        store.finish(gathered)
        if shard != (1, 1):
            print(
                "Shard {} of {}: {} of {} pictures, results in {}; when all are there: "
                "--merge OUT OUT ... --out OUT".format(
                    shard[0], shard[1], len(gathered), plan.images, args.out
                )
            )
            return 0
        if maps_folder is not None:
            _write_metadata(maps_folder, reported, gathered)
        return _report(args, started, gathered, settled, localizer, reported, fusions)
    finally:
        localizer.close()


def _fusions(args, localizer):
    layers = None
    if args.fuse_layers is not None:
        layers = localizer.backbone.layer_names(args.fuse_layers)
    return make_fusions(localizer.entries, list(OrderedDict.fromkeys(args.fuse)), layers)


def _alpha_entries(args, localizer, settled):
    """The entries of the study of alpha: every value by both gradients, at one layer."""
    if not args.alphas:
        return []
    layer = args.alpha_layer
    if layer is None:
        chosen = [r["layer"] for r in (settled or {}).get("rows", ()) if r["chosen"]]
        own = [r["layer"] for r in (settled or {}).get("rows", ()) if r["method"] == "dgl"]
        known = [name for name in own if name in chosen and name in localizer.backbone.layers]
        layer = known[0] if known else localizer.backbone.layer_names(args.clayer)[0]
    layer = localizer.backbone.layer_name(layer)
    return [
        ("dgl(pa={}{})".format(alpha, "" if semantics == "kernel" else ",exact"), layer)
        for semantics in ("kernel", "exact")
        for alpha in OrderedDict.fromkeys(args.alphas)
    ]


def _plan(args, localizer, dataset, fusions, thresholds=None, alpha_entries=(), is_selecting=False):
    own = [entry for entry in localizer.entries if entry not in alpha_entries]
    return Plan(
        protocols=tuple(OrderedDict.fromkeys(args.protocol)),
        entries=tuple(own + [fusion.entry for fusion in fusions]),
        alpha_entries=tuple(alpha_entries),
        threshold=args.threshold,
        thresholds=thresholds or {},
        selecting=is_selecting,
        step=args.cam_interval,
        batch=args.batch,
        masks=any(sample.mask_paths for sample in dataset.samples),
        classes=localizer.classes,
        model=OrderedDict(
            mode=args.mode,
            load=args.load,
            image_size=localizer.image_size,
            classes=localizer.classes,
            width=localizer.options.width,
            norm=localizer.options.norm,
            # JSON has no infinity.
            alpha=args.pa if math.isfinite(args.pa) else "inf",
            precision=args.precision,
        ),
        data=OrderedDict(
            name=dataset.name, layout=dataset.format, split=dataset.split, images=len(dataset)
        ),
        versions=_versions(),
        class_names=dataset.class_names,
        pictures=pictures_fingerprint(dataset.samples),
        weights=weights_fingerprint(localizer.path),
    )


def _select(args, localizer, dataset, plan, fusions):
    """The results on the split that thresholds are settled on; those of an interrupted run serve."""
    out = os.path.join(args.out, SELECTION)
    if not args.restart and has_records(out):
        known = read_records(out)
        if not known.plan.differences(plan) and len(known) == plan.images:
            return known
    store = Store(out, plan, args.restart)
    gathered = Evaluation(localizer, dataset, plan, fusions, args.workers, args.strict).run(store)
    store.finish(gathered)
    return gathered


def _write_metadata(folder, dataset, gathered):
    sizes = {
        key: (int(width), int(height))
        for key, width, height in zip(
            gathered.pictures.ids,
            gathered.pictures.column("width"),
            gathered.pictures.column("height"),
        )
    }
    samples = [dataset.samples[int(key)] for key in sizes]
    for metadata, root in write_metadata(folder, samples, list(sizes.values())):
        print(
            "Maps in {0}; score them: --maps {0}/<entry> --metadata {1}{2}".format(
                folder, metadata, "" if root is None else " --mask-root " + root
            )
        )


def _report(args, started, gathered, settled, localizer=None, dataset=None, fusions=()):
    """Write and print everything that the results say."""
    metrics = compute_metrics(gathered, args.seed, args.resamples, settled)
    gallery = []
    pictures.clear(args.out)
    if localizer is not None and args.gallery:
        protocol = gathered.plan.protocols[0]
        rows = metrics["protocols"][protocol]["rows"]
        drawn = gathered.plan.entries
        if len(drawn) > pictures.MOST_ENTRIES:
            drawn = list(chosen_entries(rows, protocol, settled).values())
        first = drawn[0]
        positions = pictures.choose(gathered, first, args.gallery)
        gallery = pictures.draw(localizer, dataset, gathered, args.out, positions, drawn, fusions)
    write_csv(os.path.join(args.out, "images.csv"), image_rows(gathered))
    write_errors(args.out, gathered.errors)
    # Last of all: whoever finds it finds everything else too.
    write_metrics(args.out, metrics)
    page = write_results(args.out, metrics, gallery, started)
    print_tables(metrics)
    if gathered.errors:
        print(
            "{} of {} pictures could not be read, see {}".format(
                len(gathered.errors), len(gathered), os.path.join(args.out, "errors.csv")
            )
        )
    print("Results in {}; open {}".format(args.out, page))
    return 0
