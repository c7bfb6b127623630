"""Measure what surrounds a small network: the command's start, folders, the server for scripts, studies.

    python -m benchmarks.around_network --images FOLDER --data ../shared/data/cub20 --load CKPT \
        --out benchmarks/results/around_network.json

EfficientNet-Lite0 throughout. Wherever two times are compared they were taken in turn. `--only` measures
some of the four and keeps the rest of the record; `--table` prints a record's table.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
from tqdm import tqdm

from benchmarks.recorded import markdown
from benchmarks.speed.machine import describe, versions
from benchmarks.speed.spread import ratio, spread
from dgl.data import list_images
from dgl.errors import UserError, run_script
from dgl.utils.files import write_atomically

SECTIONS = ("command", "folder", "server", "study")
_DGL = [sys.executable, "-m", "dgl.cli"]
_LITE0 = ["--mode", "efficientnet_lite0", "--load", "efficientnet_lite0", "--fast", "--gpu=-1"]


def spent(command):
    """(wall seconds, peak megabytes) of a command; its output is dropped."""
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise UserError(f"{' '.join(command)}: ended with status {status}")
    return time.time() - start, usage.ru_maxrss * 1024 / 1e6


def timing(command):
    """part -> seconds, as a command prints them with --timing."""
    done = subprocess.run([*command, "--timing"], capture_output=True, check=True, text=True)
    line = next(line for line in done.stderr.splitlines() if line.startswith("timing: "))
    return {part: float(seconds) for part, seconds in re.findall(r"(\w+) ([\d.]+) s", line)}


def measure_command(args):
    """`dgl localize photo.jpg` beside `import tensorflow` alone, by wall clock and by peak memory."""
    photo = list_images(args.images)[0]
    with tempfile.TemporaryDirectory() as out:
        ways = {
            "localize": [*_DGL, "localize", photo, "--out", out, "--gpu=-1"],
            "import": [sys.executable, "-c", "import tensorflow"],
        }
        found = {name: [] for name in ways}
        spent(ways["localize"])  # reads the files once
        for _ in range(args.rounds):
            for name, command in ways.items():
                found[name].append(spent(command))
        parts = [timing(ways["localize"]) for _ in range(args.rounds)]
    seconds = {name: [own[0] for own in values] for name, values in found.items()}
    megabytes = {name: [own[1] for own in values] for name, values in found.items()}
    return {
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "megabytes": {name: spread(values, 0) for name, values in megabytes.items()},
        "time": ratio(seconds["localize"], seconds["import"]),
        "memory": ratio(megabytes["localize"], megabytes["import"]),
        "parts": {part: spread([own[part] for own in parts]) for part in parts[0]},
    }


def measure_folder(args):
    """`dgl localize` on a folder beside the session alone on the same images, decoded before."""
    found = {"images": len(list_images(args.images))}
    layer = ["--clayer", "block10", "--normalize", "pas", "--threshold", "0.17"]
    ways = {
        "records": [*_LITE0, *layer, "--no-drawings"],
        "drawings": [*_LITE0, *layer],
        "small": ["--gpu=-1", "--no-drawings"],  # the network that comes with the project
    }
    for name, flags in ways.items():
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "benchmarks.speed.folder_run", str(args.rounds)]
            command += ["--data_path", args.images, "--outdir", out, *flags]
            seconds = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
        found[name] = ratio(seconds["demo"], seconds["session"])
        found[name + "_ms"] = spread(1000 * np.array(seconds["demo"]) / found["images"], 1)
    return found


def serve(paths, clients):
    """(seconds, latencies) of all images through a server, sent by some clients."""
    command = [*_DGL, "serve", "--api", "--port", "0", "--gpu=-1"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        lines = (re.match(r"api: http://127\.0\.0\.1:(\d+)/", line) for line in server.stdout)
        port = int(next(filter(None, lines)).group(1))

        def client(own):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            latencies = []
            for path in own:
                with open(path, "rb") as stream:
                    body = stream.read()
                start = time.time()
                connection.request("POST", "/", body)
                answer = connection.getresponse()
                answer.read()
                latencies.append(time.time() - start)
                assert answer.status == 200, answer.status
            return latencies

        client(paths[:8])  # the first runs plan the graph for their batch
        start = time.time()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            parts = list(pool.map(client, [paths[i::clients] for i in range(clients)]))
        return time.time() - start, np.concatenate(parts)
    finally:
        server.terminate()
        server.wait()


def measure_server(args):
    """All images from some clients through `dgl serve --api`, beside `dgl localize` on their folder.

    The folder run writes records only, as the server does, and is timed from the shell: its start
    belongs to it, the server's does not.
    """
    paths = list(itertools.islice(itertools.cycle(list_images(args.images)), args.requests))
    seconds, latencies = serve(paths, args.clients)
    with tempfile.TemporaryDirectory() as folder:
        _link(paths, folder)
        with tempfile.TemporaryDirectory() as out:
            localize = [*_DGL, "localize", folder, "--no-drawings", "--out", out, "--gpu=-1"]
            alone = spent(localize)[0]
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return {
        "images": len(paths),
        "clients": args.clients,
        "seconds": round(seconds, 2),
        "folder_seconds": round(alone, 2),
        "over_folder": round(seconds / alone, 3),
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
    }


def measure_study(args):
    """What a map of `dgl evaluate` costs beyond the network: methods by layers, both protocols."""
    command = [sys.executable, "-m", "benchmarks.around_network", "--study-run"]
    command += ["--data", args.data, "--load", args.load, "--limit", str(args.limit)]
    found = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
    return found


def study_run(args):
    """Evaluate in this process, then repeat what the network was given alone; prints JSON."""
    from dgl.cli import evaluate_images
    from dgl.cli.evaluate import make_parser, run
    from dgl.tf_compat import tf

    assert tf.VERSION  # TensorFlow is loaded, which is no part of a study
    fed, predictors = [], []

    class Listening(evaluate_images.Evaluation):
        """Keeps what its predictor is fed, and the predictor."""

        def build(self, extra=()):
            predictor = super().build(extra)
            kind = type(predictor)

            class Kept(kind):
                def __call__(self, *batch, **settings):
                    fed.append(batch)
                    return kind.__call__(self, *batch, **settings)

            predictor.__class__ = Kept
            predictors.append(predictor)
            return predictor

        def close(self):
            self.predictor = None

    evaluate_images.Evaluation = Listening
    methods = ["dgl", "gradcam", "gradcam++", "layercam", "hirescam", "eigencam"]
    layers = ["head", "block15", "block14", "block13", "block12", "block11", "block10", "block9"]
    with tempfile.TemporaryDirectory() as out:
        flags = ["--data", args.data, "--mode", "efficientnet_lite0", "--load", args.load]
        flags += ["--method", *methods, "--clayer", *layers, "--limit", str(args.limit)]
        flags += ["--gallery", "0", "--resamples", "0", "--gpu=-1", "--out", out]
        flags += ["--cam-interval", str(args.step)]
        start, began = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            run(make_parser("").parse_args(flags))
        ended = time.perf_counter() - start, time.process_time() - began
    predictor = predictors[-1]
    maps = sum(len(batch[0]) * len(predictor.entries) for batch in fed)
    inputs = list(fed)
    start, began = time.perf_counter(), time.process_time()
    for batch in inputs:
        predictor(*batch)
    alone = time.perf_counter() - start, time.process_time() - began
    print(
        json.dumps(
            {
                "images": args.limit,
                "entries": len(predictor.entries),
                "maps": maps,
                "step": args.step,
                "seconds": round(ended[0], 2),
                "network_seconds": round(alone[0], 2),
                "ms_a_map": round(1000 * (ended[0] - alone[0]) / maps, 3),
                "processor_ms_a_map": round(1000 * (ended[1] - alone[1]) / maps, 3),
            }
        )
    )


def table(record):
    """Markdown: a row a ratio with its bound."""
    lines = [["what", "figure", "bound"]]

    def add(what, found, bound=""):
        if isinstance(found, dict):
            found = "{median:.2f} ({least:.2f} to {most:.2f})".format(**found)
        lines.append([what, found, bound])

    if "command" in record:
        own = record["command"]
        add("`dgl localize photo.jpg` / `import tensorflow` alone", own["time"], "at most 1.35")
        add("peak memory of the two", own["memory"], "at most 1.3")
        for part, seconds in own.get("parts", {}).items():
            add(f"seconds by `dgl localize photo.jpg --timing`: {part}", seconds)
    if "folder" in record:
        own = record["folder"]
        images = own["images"]
        add(
            f"a folder of {images} photographs, `--no-drawings` / the session alone on them, decoded",
            own["records"],
            "at most 1.25",
        )
        add("the same with three drawings of each image", own["drawings"])
        if "small" in own:
            add("the bundled network, 112 x 112, `--no-drawings`, in the same way", own["small"])
    if "server" in record:
        own = record["server"]
        what = "`dgl serve --api`, {images:,} images from {clients} clients / their folder run"
        add(what.format(**own), f"{own['over_folder']:.2f}", "at most 1.3")
        add(
            "latency of a request, median and 99 %",
            "{p50_ms:.0f} and {p99_ms:.0f} ms".format(**own),
        )
    if "study" in record:
        own = record["study"]
        what = "a map of `dgl evaluate`, {entries} methods and layers, beyond the network"
        bound = "at most 2.0 ms"
        add(what.format(**own), f"{own['ms_a_map']:.2f} ms", bound)
        add("the same in time of a core", f"{own['processor_ms_a_map']:.2f} ms")
    return markdown(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of photographs")
    parser.add_argument("--data", help="data set of the study")
    parser.add_argument("--load", help="checkpoint of the study")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=500, help="photographs of the folder")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--limit", type=int, default=200, help="images of the study")
    parser.add_argument("--step", type=float, default=0.01, help="thresholds of the study")
    parser.add_argument("--study-run", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--table", metavar="RECORD", help="print a record's table instead")
    parser.add_argument("--out", help="JSON to write")
    args = parser.parse_args(argv)
    if args.study_run:
        study_run(args)
        return 0
    if args.table:
        with open(args.table, encoding="utf-8") as stream:
            print(table(json.load(stream)))
        return 0
    for flag in ("images", "data", "load", "out"):
        if getattr(args, flag) is None:
            raise UserError(f"--{flag}: expected, as --table is not given")
    record = {}
    if os.path.exists(args.out):
        with open(args.out, encoding="utf-8") as stream:
            record = json.load(stream)
    record.update(machine=describe(), versions=versions())
    measure = {
        "command": measure_command,
        "folder": measure_folder,
        "server": measure_server,
        "study": measure_study,
    }
    with tempfile.TemporaryDirectory() as folder:
        _link(list_images(args.images)[: args.most], folder)
        args.images = folder
        for section in tqdm(args.only, desc="sections"):
            record[section] = measure[section](args)
            write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(table(record))
    return 0


def _link(paths, folder):
    """Links to images, in their order and each of a name of its own."""
    for number, path in enumerate(paths):
        end = os.path.splitext(path)[1]
        os.symlink(os.path.abspath(path), os.path.join(folder, f"{number:05d}{end}"))


if __name__ == "__main__":
    run_script(main)
