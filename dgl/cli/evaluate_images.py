"""What `dgl evaluate` and `dgl study` run: a data set, merged shards, or folders of saved maps."""

import contextlib
import json
import os
import time
from argparse import Namespace
from typing import Any, Dict, List, Optional, Sequence

from dgl.data.labels import fit_labels
from dgl.data.text_files import BadLines
from dgl.errors import UserError
from dgl.evaluation import saved_maps, summary
from dgl.evaluation.loop import Evaluation
from dgl.evaluation.mosaic import choose_mosaics, mosaic_metrics, parse_grid, play, side_of
from dgl.evaluation.plan import (
    alpha_entries_of,
    fusions_of,
    load_split,
    make_plan,
    predictor_arguments,
    versions,
)
from dgl.evaluation.results import (
    Store,
    check_finished,
    has_records,
    merge_records,
    parse_shard,
    read_records,
)
from dgl.report import gallery
from dgl.report.page import write_results
from dgl.report.tables import print_tables
from dgl.utils.files import read_bounded, write_json
from dgl.utils.table import write_csv
from dgl.weights.identify import default_weights

# Folders in --out.
SELECTION = "selection"
MAPS = "maps"
_MOST_BYTES = 1 << 28  # of a metrics.json


def merge_shards(args: Namespace) -> int:
    """Report the results in the folders of ``--merge``, and return the exit code."""
    started = time.time()
    results = merge_records(args.merge)
    if not args.overwrite:
        check_finished(args.out, results.plan, shard=None)
    selected, left_out = None, []
    if results.plan.thresholds:
        tuned = read_records(os.path.join(args.merge[0], SELECTION))
        left_out = _write_left_out(os.path.join(args.out, SELECTION), tuned)
        selected = summary.select_thresholds(tuned)[1]
    return _report(args, started, results, selected, left_out=left_out)


def evaluate(args: Namespace) -> int:
    """Evaluate a checkpoint on a split, or on a shard of it; returns the exit code."""
    started = time.time()
    args.mode, args.load = default_weights(args.mode, args.load)
    shard = parse_shard(args.shard)
    dataset = load_split(args, args.split)
    tune_set = None
    if args.tune_split is not None:
        tune_set = load_split(args, args.tune_split, args.tune_limit)
        summary.check_disjoint(dataset, tune_set)
    with contextlib.ExitStack() as stack:
        evaluation = Evaluation(args, _ray_workers(args, stack))
        stack.callback(evaluation.close)
        predictor = evaluation.predictor
        dataset = fit_labels(dataset, predictor.class_names, args.class_offset)
        fusions = fusions_of(args, predictor)
        thresholds: Dict[str, Dict[str, float]] = {}
        selected = None
        left_out: List[str] = []
        if tune_set is not None:
            tune_set = fit_labels(tune_set, predictor.class_names, args.class_offset)
            plan = make_plan(args, predictor, tune_set, fusions, is_selecting=True)
            results = _evaluate_tune_set(args, evaluation, tune_set, plan, fusions)
            left_out = _write_left_out(os.path.join(args.out, SELECTION), results)
            thresholds, selected = summary.select_thresholds(results)
        alpha_entries = alpha_entries_of(args, predictor, selected)
        if alpha_entries:
            predictor = evaluation.build(alpha_entries)
        plan = make_plan(args, predictor, dataset, fusions, thresholds, alpha_entries)
        store = Store(args.out, plan, args.restart, args.overwrite, shard)
        maps_folder = os.path.join(args.out, MAPS) if args.save_maps else None
        results = evaluation.run(dataset, plan, fusions, store, shard, maps_folder)
        mosaic = None
        if args.mosaic is not None:
            # Before the batches are dropped, from which an interrupted run goes on.
            mosaic = _play_mosaics(args, predictor, dataset, results, fusions)
        store.finish(results)
        if shard != (1, 1):
            print(
                f"Shard {shard[0]} of {shard[1]}: {len(results)} of {plan.images} images, "
                f"results in {args.out}; to merge all shards: --merge OUT OUT ... --out OUT"
            )
            return _tell([*_write_left_out(args.out, results), *left_out])
        if maps_folder is not None:
            _write_metadata(maps_folder, dataset, results)
        return _report(
            args, started, results, selected, predictor, dataset, fusions, mosaic, left_out
        )


def _ray_workers(args: Namespace, stack: contextlib.ExitStack) -> Any:
    """The workers of ``--ray-workers``, closed with ``stack``; ``None`` without the flag."""
    if args.ray_workers is None:
        return None
    from dgl.evaluation.ray_workers import ray_workers

    # Ray looks for GPUs before TensorFlow hides them from this process.
    return stack.enter_context(
        ray_workers(args.ray_workers, args.ray_address, args.ray_cpus, args.ray_gpus, args.gpu)
    )


def _evaluate_tune_set(
    args: Namespace, evaluation: Evaluation, tune_set: Any, plan: Any, fusions: Sequence[Any]
) -> Any:
    """Results on the split that selects thresholds; complete ones of an interrupted run are reused."""
    out = os.path.join(args.out, SELECTION)
    if not args.restart and has_records(out):
        stored = read_records(out)
        if not stored.plan.differences(plan) and len(stored) == plan.images:
            return stored
    # Where nothing is finished, thresholds of other flags are of no more use.
    overwrite = args.overwrite or not has_records(args.out)
    store = Store(out, plan, args.restart, overwrite)
    results = evaluation.run(tune_set, plan, fusions, store)
    store.finish(results)
    return results


def _write_left_out(out: str, results: Any) -> List[str]:
    errors = results.errors.values()
    return summary.write_left_out(out, errors, results.skipped, f"of {len(results)} images")


def _play_mosaics(
    args: Namespace, predictor: Any, dataset: Any, results: Any, fusions: Sequence[Any]
) -> Dict[str, Any]:
    """What ``metrics.json`` has under ``mosaic``; the network takes larger images for it."""
    from dgl.predict.predictor import predictor_of

    grid = parse_grid(args.mosaic)
    mosaics = choose_mosaics(results, grid, args.seed)
    side = side_of(grid, predictor.image_size)
    with predictor_of(**dict(predictor_arguments(args), image_size=side, gpu=args.gpu)) as larger:
        batch = max(1, args.batch * predictor.image_size**2 // side**2)
        found = play(larger, dataset, mosaics, grid, fusions, batch, args.workers)
    return mosaic_metrics(found, grid, args.seed, args.resamples)


def _write_metadata(folder: str, dataset: Any, results: Any) -> None:
    """Write wsolevaluation's metadata of saved maps and print how to score them."""
    images = results.images
    sizes = {
        key: (int(width), int(height))
        for key, width, height in zip(images.ids, images.column("width"), images.column("height"))
    }
    samples = [dataset.samples[int(key)] for key in sizes]
    for metadata, root in saved_maps.write_metadata(folder, samples, list(sizes.values())):
        mask_flag = "" if root is None else f" --mask-root {root}"
        print(
            f"Maps in {folder}; to score them: "
            f"--maps {folder}/<entry> --metadata {metadata}{mask_flag}"
        )


def _report(
    args: Namespace,
    started: float,
    results: Any,
    selected: Optional[Any],
    predictor: Any = None,
    dataset: Any = None,
    fusions: Sequence[Any] = (),
    mosaic: Optional[Dict[str, Any]] = None,
    left_out: Sequence[str] = (),
) -> int:
    """Write tables, records, charts and drawn images, and print the tables."""
    metrics = summary.compute_metrics(results, args.seed, args.resamples, selected)
    if mosaic is not None:
        metrics["mosaic"] = mosaic
    drawn = []
    gallery.clear(args.out)
    if predictor is not None and args.gallery:
        protocol = results.plan.protocols[0]
        entries = results.plan.entries
        if len(entries) > gallery.MOST_ENTRIES:
            rows = metrics["protocols"][protocol]["rows"]
            entries = list(summary.chosen_entries(rows, protocol, selected).values())
        positions = gallery.choose(results, entries[0], args.gallery)
        drawn = gallery.draw(predictor, dataset, results, args.out, positions, entries, fusions)
    write_csv(os.path.join(args.out, "images.csv"), summary.image_rows(results))
    left_out = [*_write_left_out(args.out, results), *left_out]
    return _finish(args.out, metrics, drawn, started, left_out)


def _finish(
    out: str,
    metrics: Dict[str, Any],
    drawn: List[Dict[str, Any]],
    started: float,
    left_out: Sequence[str],
) -> int:
    """Write metrics, tables and page, print the tables, and return the exit code."""
    # Written after the other records, so its presence marks completion.
    write_json(os.path.join(out, summary.METRICS), metrics)
    page = write_results(out, metrics, drawn, started)
    print_tables(metrics)
    code = _tell(left_out)
    print(f"Results in {out}; open {page}")
    return code


def _tell(left_out: Sequence[str]) -> int:
    """Print what was left out; returns the exit code."""
    for line in left_out:
        print(line)
    return 1 if left_out else 0


def score_maps(args: Namespace) -> int:
    """Score the folders of ``--maps``, and return the exit code."""
    started = time.time()
    if args.metadata is None:
        raise UserError("--metadata: expected the metadata folder that goes with --maps")
    bad = BadLines()
    records = saved_maps.read_records(args.metadata, args.mask_root, bad)[: args.limit]
    names = _unique_names(args.maps)
    if not args.overwrite:
        _check_finished_scores(args, list(names), len(records))
    scores = {
        name: saved_maps.score(
            folder, records, args.cam_interval, args.mask_root, args.workers, args.strict
        )
        for name, folder in names.items()
    }
    metrics: Dict[str, Any] = {
        "versions": versions(with_tensorflow=False),
        "seed": args.seed,
        "resamples": args.resamples,
        "data": {"name": os.path.basename(os.path.abspath(args.metadata)), "images": len(records)},
        **saved_maps.compute_metrics(scores, args.cam_interval, args.seed, args.resamples),
    }
    errors = [error for found in scores.values() for error in found.errors]
    metrics["errors"] = len(errors)
    left_out = summary.write_left_out(args.out, errors, bad.reasons, "maps")
    return _finish(args.out, metrics, [], started, left_out)


def _check_finished_scores(args: Namespace, names: Sequence[str], images: int) -> None:
    """Refuse an ``--out`` with finished results of an evaluation, or of other maps or thresholds."""
    check_finished(args.out, None)
    data = read_bounded(os.path.join(args.out, summary.METRICS), _MOST_BYTES, summary.METRICS)
    if data is None:
        return
    try:
        found = json.loads(data)
        protocol = found["protocols"]["wsolevaluation"]
        rows = [
            row["method"] + ("" if row["layer"] == saved_maps.SAVED else "@" + row["layer"])
            for row in protocol["rows"]
        ]
        earlier = sorted(rows), protocol["step"], found["data"]["images"]
    except (ValueError, KeyError, TypeError):
        earlier = [], None, None
    if earlier != (sorted(names), args.cam_interval, images):
        raise UserError(
            f"--out {args.out}: finished results of other maps, images or thresholds; expected the same "
            "flags, another --out, or --overwrite"
        )


def _unique_names(folders: Sequence[str]) -> Dict[str, str]:
    """Name -> folder; a name is the shortest end of the path that is unique."""
    paths = list(dict.fromkeys(os.path.abspath(folder) for folder in folders))
    parts = [path.split(os.sep) for path in paths]
    depth = 1
    while len({tuple(p[-depth:]) for p in parts}) < len(parts):
        depth += 1
    return {"/".join(p[-depth:]): path for p, path in zip(parts, paths)}
