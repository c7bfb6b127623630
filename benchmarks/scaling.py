"""How long 1.2 million images take on 1, 16 and 256 cores, from one core's figures and a simulated cluster.

    python -m benchmarks.scaling --data ../shared/data/ilsvrc --out benchmarks/results/scaling.json
    .venv-ray/bin/python -m benchmarks.scaling --simulate --out benchmarks/results/scaling.json

The first measures on one core what `dgl evaluate` takes for an image, for its start and for merging
shards, and keeps one batch's results. The second needs Ray, and no TensorFlow: 64 actors each wait as long
as a batch would take them, and return these results under the batch's own images; the package's own code
hands out the batches and merges what comes back. `--table` prints a record's table.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.recorded import markdown
from benchmarks.speed.machine import describe
from dgl.errors import UserError, run_script
from dgl.evaluation.loop import Task, collect
from dgl.evaluation.plan import Plan
from dgl.evaluation.results import Results, image_key, merge_records, read_records, write_records
from dgl.evaluation.summary import compute_metrics
from dgl.utils.files import write_atomically

IMAGES = 1281167  # of ILSVRC's training list
CORES = (1, 16, 256)
_BATCH = 32  # as `--batch`
WORKERS = 64
_ENTRY = ["--method", "dgl", "--clayer", "block10", "--protocol", "wsolevaluation"]
_ENTRY += ["--cam-interval", "0.001", "--mode", "efficientnet_lite0"]


def evaluate(args, limit, out):
    """Seconds of one core that `dgl evaluate` takes for so many images."""
    command = [sys.executable, "-m", "dgl.cli", "evaluate", "--data", args.data, *_ENTRY]
    command += ["--limit", str(limit), "--gallery", "0", "--resamples", "0", "--workers", "1"]
    command += ["--gpu=-1", "--out", out, "--overwrite"]
    environment = dict(os.environ, TF_NUM_INTRAOP_THREADS="1", OMP_NUM_THREADS="1")
    core = {min(os.sched_getaffinity(0))}
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, core),
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise UserError(f"{' '.join(command)}: ended with status {status}")
    return usage.ru_utime + usage.ru_stime


def grown(plan, images):
    """A plan of so many images, otherwise the same."""
    return dataclasses.replace(plan, data={**plan.data, "images": images})


def batch_state(stored, plan, chunk):
    """The results of a stored batch under the images of another, as JSON values."""
    keys = [image_key(position) for position in plan.positions(chunk)]

    def records(state):
        return {**state, "ids": keys}

    return {
        "evaluators": [
            {**state, "records": records(state["records"])} for state in stored["evaluators"]
        ],
        "pictures": records(stored["pictures"]),
        "names": [[key, f"image {key}"] for key in keys],
        "errors": [],
    }


def merge_seconds(plan, stored, shards, batches):
    """Seconds that merging shards takes, and that the tables then take, for each image."""
    plan = grown(plan, shards * batches * plan.batch)
    with tempfile.TemporaryDirectory() as folder:
        outs = [os.path.join(folder, str(shard)) for shard in range(shards)]
        for shard, out in enumerate(outs):
            results = Results(plan)
            for chunk in range(shard, plan.chunks, shards):
                results.merge(Results.from_state(plan, batch_state(stored, plan, chunk)))
            write_records(out, results, (shard + 1, shards))
        start = time.process_time()
        merged = merge_records(outs)
        between = time.process_time()
        compute_metrics(merged, resamples=0)
        write_records(folder, merged)
        ended = time.process_time()
        size = os.path.getsize(os.path.join(folder, "records.json"))
    return {
        "images": plan.images,
        "merge_ms_an_image": round(1000 * (between - start) / plan.images, 4),
        "tables_ms_an_image": round(1000 * (ended - between) / plan.images, 4),
        "bytes_an_image": round(size / plan.images, 1),
    }


def measure(args):
    """What one core takes; the results of one batch are kept for the simulation."""
    few, many = _BATCH, args.limit
    with tempfile.TemporaryDirectory() as folder:
        outs = [os.path.join(folder, name) for name in ("few", "many")]
        seconds = [evaluate(args, limit, out) for limit, out in zip((few, many), outs)]
        results = read_records(outs[0])
    per_image = (seconds[1] - seconds[0]) / (many - few)
    plan, stored = results.plan, results.state_dict()
    from dgl.data.layouts import load_data

    sizes = [os.path.getsize(sample.path) for sample in load_data(args.data, split="val").samples]
    return {
        "command": " ".join(["dgl evaluate", *_ENTRY]),
        "images": many,
        "seconds_an_image": round(per_image, 5),
        "start_seconds": round(seconds[0] - few * per_image, 2),
        "file_bytes_an_image": round(float(np.mean(sizes))),
        "batch": plan.batch,
        "merge": merge_seconds(plan, stored, WORKERS, args.batches),
    }, {"plan": plan.to_json(), "results": stored}


def simulated_worker():
    """The class of an actor that waits and returns; made here so that Ray sends it by value."""

    class Simulated:
        def __init__(self, root, sent):
            import pickle
            import sys
            import threading

            sys.path.insert(0, root)
            self._stored, self._plan, self._seconds = pickle.loads(sent)
            self._lock = threading.Lock()

        def ready(self):
            pass

        def run(self, chunk):
            import time

            from benchmarks.scaling import batch_state

            with self._lock:  # one session, two batches on their way
                time.sleep(self._seconds[chunk])
            return chunk, "done", batch_state(self._stored, self._plan, chunk)

    return Simulated


def simulate(args, record, kept):
    """Batches through 64 actors and the package's own merging, beside the same without Ray."""
    from dgl.evaluation.ray_workers import RayWorkers, ray_workers

    plan = Plan.from_json(kept["plan"])
    plan = grown(plan, WORKERS * args.batches * plan.batch)
    usual = plan.batch * record["one_core"]["seconds_an_image"]
    # Images and hosts differ.
    seconds = usual * np.exp(np.random.RandomState(0).normal(0, 0.1, plan.chunks))
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = {"workers": WORKERS, "images": plan.images, "batch_seconds": round(usual, 3)}

    class Simulation(RayWorkers):
        waits = seconds

        def _start(self, task, count):
            sent = self._ray.put(pickle.dumps((kept["results"], plan, self.waits.tolist())))
            actor = self._ray.remote(simulated_worker())
            actor = actor.options(num_cpus=self.cpus, max_concurrency=2)
            self.actors = [actor.remote(root, sent) for _ in range(count)]
            self._ray.get([actor.ready.remote() for actor in self.actors])
            self.began = time.perf_counter(), time.process_time()
            return self.actors

    dataset = _NoImages("simulated", [None] * plan.images)
    task = Task({}, dataset, plan, [])
    with ray_workers(WORKERS, gpu="-1") as workers:
        simulation = Simulation(
            workers._ray, workers.size, workers.cpus, 0, workers._settings["environment"]
        )
        for name, waits in (("as_measured", seconds), ("without_waiting", 0 * seconds)):
            simulation.waits = waits
            with contextlib.redirect_stderr(io.StringIO()):
                merged = _collected(plan, dataset, simulation.batches_of(task))
            wall = time.perf_counter() - simulation.began[0]
            driver = time.process_time() - simulation.began[1]
            found[name] = {
                "seconds": round(wall, 2),
                "ideal_seconds": round(float(waits.sum()) / WORKERS, 2),
                "driver_ms_a_batch": round(1000 * driver / plan.chunks, 3),
                "batches_a_second": round(plan.chunks / wall, 1),
            }
    alone = _collected(
        plan,
        dataset,
        lambda chunks: (
            (chunk, Results.from_state(plan, batch_state(kept["results"], plan, chunk)))
            for chunk in chunks
        ),
    )
    if json.dumps(alone.state_dict()) != json.dumps(merged.state_dict()):
        raise UserError("the simulated workers' results differ from those of one process")
    found["same_bytes"] = True
    return found


class _NoImages:
    def __init__(self, name, samples):
        self.name, self.samples = name, samples


def _collected(plan, dataset, run_batches):
    from dgl.evaluation import loop

    loop._check_boxes = lambda *_: None  # there are no images
    return collect(plan, dataset, run_batches, progress=False)


def hours(record):
    """Cores -> (hours with shards, hours with Ray, MB a second that are read, the driver's busy share)."""
    one, simulated = record["one_core"], record["simulated"]
    batches = IMAGES / one["batch"]
    driver = batches * simulated["as_measured"]["driver_ms_a_batch"] / 1000
    tables = IMAGES * one["merge"]["tables_ms_an_image"] / 1000
    merge = IMAGES * one["merge"]["merge_ms_an_image"] / 1000
    found = {}
    for cores in CORES:
        network = one["start_seconds"] + IMAGES * one["seconds_an_image"] / cores
        found[cores] = (
            (network + merge + tables) / 3600,
            (max(network, driver) + tables) / 3600,
            cores / one["seconds_an_image"] * one["file_bytes_an_image"] / 1e6,
            min(1, driver / network),
        )
    return found


def table(record):
    """Markdown: a row a number of cores."""
    lines = [["cores", "`--shard`, then `--merge`", "Ray", "read", "Ray's main process is busy"]]
    for cores, (shards, ray, read, busy) in hours(record).items():
        cells = [f"{v:.1f} h" if v >= 1 else f"{60 * v:.0f} min" for v in (shards, ray)]
        lines.append([str(cores), *cells, f"{read:.1f} MB/s", f"{100 * busy:.1f} %"])
    return markdown(lines)


def limits(record):
    """Markdown: what was measured, and where it stops."""
    one, simulated = record["one_core"], record["simulated"]
    waited, at_once = simulated["as_measured"], simulated["without_waiting"]
    merged = one["merge"]
    saturated = one["batch"] * one["seconds_an_image"] / (waited["driver_ms_a_batch"] / 1000)
    merging = IMAGES * merged["merge_ms_an_image"] / 1000
    lines = [["what", "figure"]]
    lines += [
        ["an image, on one core", f"{1000 * one['seconds_an_image']:.0f} ms"],
        ["start of a process", f"{one['start_seconds']:.1f} s"],
        ["a batch of {}, in Ray's main process".format(one["batch"]),
         f"{waited['driver_ms_a_batch']:.1f} ms, which keeps it busy with {saturated:.0f} cores"],
        ["{workers} simulated workers, {images:,} images".format(**simulated),
         "{seconds:.1f} s; waiting alone {ideal_seconds:.1f} s; the same bytes as without Ray".format(
             **waited)],
        ["batches that do not wait", f"{at_once['batches_a_second']:.0f} a second"],
        [f"merging {WORKERS} shards of {IMAGES:,} images, their tables",
         f"{merging:.0f} s, {IMAGES * merged['tables_ms_an_image'] / 1000:.0f} s"],
        ["their `records.json`", f"{IMAGES * merged['bytes_an_image'] / 1e6:.0f} MB"],
    ]  # fmt: skip
    return markdown(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="ILSVRC's folder")
    parser.add_argument("--limit", type=int, default=400, help="images on one core")
    parser.add_argument("--batches", type=int, default=20, help="of each simulated worker")
    parser.add_argument("--simulate", action="store_true", help="the part that needs Ray")
    parser.add_argument("--table", metavar="RECORD", help="print a record's table instead")
    parser.add_argument("--out", help="JSON; the batch that is kept lies beside it, .batch.json")
    args = parser.parse_args(argv)
    if args.table:
        with open(args.table, encoding="utf-8") as stream:
            record = json.load(stream)
        print(table(record), limits(record), sep="\n\n")
        return 0
    if args.out is None or (args.data is None and not args.simulate):
        raise UserError("--out, and --data or --simulate: expected, as --table is not given")
    kept_path = os.path.join(tempfile.gettempdir(), "dgl_scaling_batch.json")
    record = {}
    if os.path.exists(args.out):
        with open(args.out, encoding="utf-8") as stream:
            record = json.load(stream)
    if args.simulate:
        with open(kept_path, encoding="utf-8") as stream:
            kept = json.load(stream)
        record["simulated"] = simulate(args, record, kept)
    else:
        record["machine"] = describe()
        record["one_core"], kept = measure(args)
        write_atomically(kept_path, json.dumps(kept).encode("utf-8"))
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(table(record) if "simulated" in record else json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    run_script(main)
