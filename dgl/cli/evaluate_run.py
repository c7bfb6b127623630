"""The batch evaluation and the study, from parsed flags to files."""

import contextlib
import os
import time
from argparse import Namespace

from dgl.cli import score as score_command
from dgl.cli.evaluate_flags import check_flags
from dgl.evaluation import thresholds as selection
from dgl.evaluation.loop import Evaluation
from dgl.evaluation.saved_maps import write_metadata
from dgl.evaluation.setup import (
    alpha_entries_of,
    check_labels,
    fusions_of,
    load_split,
    make_plan,
    parse_shard,
    versions,
)
from dgl.evaluation.store import Store, has_records, merge_records, read_records
from dgl.evaluation.summary import (
    chosen_entries,
    compute_metrics,
    image_rows,
    write_errors,
    write_metrics,
)
from dgl.report import gallery as pictures
from dgl.report.evaluation_files import print_tables, write_results
from dgl.utils.table import write_csv

SELECTION = "selection"
MAPS = "maps"


def run(args: Namespace) -> int:
    """Carry out parsed flags; returns the exit code."""
    check_flags(args)
    started = time.time()
    if args.maps:
        return score_command.run(args, started, versions(with_tensorflow=False))
    if args.merge:
        results = merge_records(args.merge)
        selected = None
        if results.plan.thresholds:
            selected = selection.select_thresholds(
                read_records(os.path.join(args.merge[0], SELECTION))
            )[1]
        return _report(args, started, results, selected)
    return _evaluate(args, started)


def _evaluate(args, started):
    shard = parse_shard(args.shard)
    reported = load_split(args, args.split)
    selecting = None
    if args.tune_split is not None:
        selecting = load_split(args, args.tune_split, args.tune_limit)
        selection.check_apart(reported, selecting)
    with contextlib.ExitStack() as stack:
        evaluation = Evaluation(args, _workers(args, stack))
        stack.callback(evaluation.close)
        predictor = evaluation.predictor
        for dataset in filter(None, (reported, selecting)):
            check_labels(dataset, predictor)
        fusions = fusions_of(args, predictor)
        thresholds, selected = {}, None
        if selecting is not None:
            plan = make_plan(args, predictor, selecting, fusions, is_selecting=True)
            thresholds, selected = selection.select_thresholds(
                _select(args, evaluation, selecting, plan, fusions)
            )
        alpha_entries = alpha_entries_of(args, predictor, selected)
        if alpha_entries:
            predictor = evaluation.build(alpha_entries)
        plan = make_plan(args, predictor, reported, fusions, thresholds, alpha_entries)
        store = Store(args.out, plan, args.restart)
        maps_folder = os.path.join(args.out, MAPS) if args.save_maps else None
        results = evaluation.run(reported, plan, fusions, store, shard, maps_folder)
        store.finish(results)
        if shard != (1, 1):
            print(
                f"Shard {shard[0]} of {shard[1]}: {len(results)} of {plan.images} images, results in {args.out}; when all are there: "
                "--merge OUT OUT ... --out OUT"
            )
            return 0
        if maps_folder is not None:
            _write_metadata(maps_folder, reported, results)
        return _report(args, started, results, selected, predictor, reported, fusions)


def _workers(args, stack):
    """The workers of ``--ray-workers`` for as long as ``stack`` lasts, or ``None``."""
    if args.ray_workers is None:
        return None
    from dgl.evaluation.ray_workers import ray_workers

    # Ray looks for GPUs before TensorFlow hides them from this process.
    return stack.enter_context(
        ray_workers(args.ray_workers, args.ray_address, args.ray_cpus, args.ray_gpus, args.gpu)
    )


def _select(args, evaluation, dataset, plan, fusions):
    """The results on the split that thresholds are selected on; those of an interrupted run serve."""
    out = os.path.join(args.out, SELECTION)
    if not args.restart and has_records(out):
        known = read_records(out)
        if not known.plan.differences(plan) and len(known) == plan.images:
            return known
    store = Store(out, plan, args.restart)
    results = evaluation.run(dataset, plan, fusions, store)
    store.finish(results)
    return results


def _write_metadata(folder, dataset, results):
    sizes = {
        key: (int(width), int(height))
        for key, width, height in zip(
            results.images.ids,
            results.images.column("width"),
            results.images.column("height"),
        )
    }
    samples = [dataset.samples[int(key)] for key in sizes]
    for metadata, root in write_metadata(folder, samples, list(sizes.values())):
        print(
            "Maps in {0}; score them: --maps {0}/<entry> --metadata {1}{2}".format(
                folder, metadata, "" if root is None else " --mask-root " + root
            )
        )


def _report(args, started, results, selected, predictor=None, dataset=None, fusions=()):
    """Write and print everything that the results say."""
    metrics = compute_metrics(results, args.seed, args.resamples, selected)
    gallery = []
    pictures.clear(args.out)
    if predictor is not None and args.gallery:
        protocol = results.plan.protocols[0]
        rows = metrics["protocols"][protocol]["rows"]
        drawn = results.plan.entries
        if len(drawn) > pictures.MOST_ENTRIES:
            drawn = list(chosen_entries(rows, protocol, selected).values())
        first = drawn[0]
        positions = pictures.choose(results, first, args.gallery)
        gallery = pictures.draw(predictor, dataset, results, args.out, positions, drawn, fusions)
    write_csv(os.path.join(args.out, "images.csv"), image_rows(results))
    write_errors(args.out, results.errors)
    # Last of all: whoever finds it finds everything else too.
    write_metrics(args.out, metrics)
    page = write_results(args.out, metrics, gallery, started)
    print_tables(metrics)
    if results.errors:
        print(
            "{} of {} images could not be read, see {}".format(
                len(results.errors), len(results), os.path.join(args.out, "errors.csv")
            )
        )
    print(f"Results in {args.out}; open {page}")
    return 0
