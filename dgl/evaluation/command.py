"""The command lines of the batch evaluation and of the study, from flags to files."""

import argparse
import math
import os
import platform
import time
from collections import OrderedDict

import cv2
import numpy

from dgl import __version__
from dgl.data.layouts import check_files, layout_names, load_data
from dgl.errors import UserError
from dgl.evaluation import pictures, score_command, selection
from dgl.evaluation.entries import FUSIONS, make_fusions
from dgl.evaluation.localization import Evaluation
from dgl.evaluation.metrics import (
    chosen_entries,
    compute_metrics,
    image_rows,
    write_errors,
    write_metrics,
)
from dgl.evaluation.plan import (
    FIXED,
    WSOL,
    Plan,
    pictures_fingerprint,
    weights_fingerprint,
)
from dgl.evaluation.report import print_tables, write_results
from dgl.evaluation.scoring import write_metadata
from dgl.evaluation.store import Store, has_records, merge_records, read_records
from dgl.evaluation.table import write_csv
from dgl.precisions import FLOAT32, PRECISIONS

PROTOCOLS = (FIXED, WSOL)
SELECTION = "selection"
MAPS = "maps"
# A decade and a half on either side of the paper's 10, and the limit.
ALPHAS = ("0.1", "0.3", "1", "3", "10", "30", "100", "inf")


def make_parser(description):
    """The parser of `evaluate_localization.py`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    model = parser.add_argument_group("what to evaluate")
    model.add_argument("--load", help="checkpoint: prefix, folder, .npz or .ckpt")
    model.add_argument("--mode", default="vgg", help="backbone")
    model.add_argument("--data", help="folder of the data set")
    model.add_argument("--dataname", help="list folder below DATA/labels (the only one)")
    model.add_argument("--data-format", choices=layout_names(), help="layout (recognised)")
    model.add_argument("--split", default="val", help="train, val or test")
    model.add_argument("--image_size", type=int, help="side of the input (the checkpoint's, 224)")
    model.add_argument("--dataset", choices=("imagenet", "cub"), help="which head, if several")
    model.add_argument("--limit", type=int, help="only the first pictures of the list")
    methods = parser.add_argument_group("methods and layers")
    methods.add_argument(
        "--clayer", nargs="+", default=["1", "2"], help="layers: indices, names, ranges (1-4), all"
    )
    methods.add_argument(
        "--method", nargs="+", default=["dgl", "cam"], help="names of methods, or all"
    )
    methods.add_argument("--pa", type=float, default=10.0, help="alpha of the loss gradient")
    methods.add_argument(
        "--fuse", nargs="+", choices=FUSIONS, default=[], help="also fuse each method's layers"
    )
    methods.add_argument("--fuse-layers", nargs="+", help="layers to fuse (those of --clayer)")
    methods.add_argument(
        "--alphas", nargs="+", default=[], help="study alpha: values of --pa, by both gradients"
    )
    methods.add_argument(
        "--alpha-layer", help="its layer (DGL's by --tune-split, else the first of --clayer)"
    )
    protocol = parser.add_argument_group("how to measure")
    protocol.add_argument(
        "--protocol", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="what to measure"
    )
    protocol.add_argument("--threshold", type=float, default=0.2, help="of the fixed protocol")
    protocol.add_argument(
        "--cam-interval", type=float, default=0.01, help="step of MaxBoxAcc's and PxAP's thresholds"
    )
    protocol.add_argument(
        "--tune-split", help="settle thresholds and layers on this other split, not on --split"
    )
    protocol.add_argument(
        "--tune-limit", type=int, help="only so many pictures of it, evenly over its list"
    )
    protocol.add_argument("--seed", type=int, default=0, help="of the resampling")
    protocol.add_argument(
        "--resamples", type=int, default=1000, help="of intervals and paired tests; 0 for none"
    )
    saved = parser.add_argument_group("saved maps")
    saved.add_argument("--save-maps", action="store_true", help="write maps as wsolevaluation's")
    saved.add_argument(
        "--maps", nargs="+", help="no model: score folders of <id>.npy against --metadata"
    )
    saved.add_argument("--metadata", help="metadata folder of wsolevaluation, for --maps")
    saved.add_argument("--mask-root", help="folder of the masks that --metadata names")
    running = parser.add_argument_group("running")
    running.add_argument("--out", default="evaluation", help="folder for results")
    running.add_argument("--batch", type=int, default=32, help="pictures a run of the network")
    running.add_argument("--gallery", type=int, default=24, help="pictures to draw")
    running.add_argument("--workers", type=int, default=os.cpu_count(), help="threads")
    running.add_argument("--gpu", help="GPU to use (-1: the CPU)")
    running.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=FLOAT32,
        help="bf16 needs a CPU or GPU that computes in it",
    )
    running.add_argument(
        "--strict", action="store_true", help="stop at a picture that cannot be read"
    )
    running.add_argument(
        "--restart", action="store_true", help="drop the unfinished results in --out"
    )
    running.add_argument("--shard", metavar="I/N", help="only every N-th batch, from the I-th on")
    running.add_argument("--merge", nargs="+", metavar="OUT", help="merge the results of shards")
    return parser


def make_study_parser(description):
    """The parser of `study_localization.py`: the same flags, set to compare everything."""
    parser = make_parser(description)
    parser.set_defaults(
        clayer=["all"],
        method=["all"],
        alphas=list(ALPHAS),
        tune_split="train",
        fuse=["mean"],
    )
    return parser


def run(args):
    """Carry out parsed flags; returns the exit code."""
    _check(args)
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


def _check(args):
    for flag, value, low, high in (
        ("--threshold", args.threshold, 0, 1),
        ("--cam-interval", args.cam_interval, 1e-4, 1),
        ("--batch", args.batch, 1, 4096),
        ("--workers", args.workers, 1, 256),
        ("--gallery", args.gallery, 0, 100000),
        ("--image_size", 224 if args.image_size is None else args.image_size, 32, 4096),
        ("--limit", 1 if args.limit is None else args.limit, 1, float("inf")),
        ("--tune-limit", 1 if args.tune_limit is None else args.tune_limit, 1, float("inf")),
        ("--seed", args.seed, 0, 2**32 - 1),
        ("--resamples", args.resamples, 0, 100000),
    ):
        if not low <= value <= high:
            raise UserError("{} {}: expected a value in [{}, {}]".format(flag, value, low, high))
    if not args.maps and not args.merge:
        for flag, value in (("--load", args.load), ("--data", args.data)):
            if value is None:
                raise UserError("{}: expected, as neither --maps nor --merge is given".format(flag))
    if args.tune_split == args.split:
        raise UserError(
            "--tune-split {}: expected another split than --split's".format(args.tune_split)
        )


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
