"""Time `dgl serve --api` with several clients beside `dgl localize` on the same folder.

    python -m benchmarks.api_server --images FOLDER --clients 8

prints seconds, images a second, and the latency that half and 99 % of the requests had. Both take the
default network; the folder run also draws and writes three images of each.
"""

import argparse
import concurrent.futures
import http.client
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

from dgl.data import list_images


def served(paths, clients):
    """(seconds, latencies) of all images through a server, sent by some clients."""
    command = [sys.executable, "-m", "dgl.cli", "serve", "--api", "--port", "0", "--gpu=-1"]
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="folder")
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    paths = list_images(args.images)
    seconds, latencies = served(paths, args.clients)
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    print(
        f"server, {args.clients} clients: {seconds:.1f} s, {len(paths) / seconds:.1f} images/s, "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    )
    with tempfile.TemporaryDirectory() as out:
        start = time.time()
        command = [
            sys.executable,
            "-m",
            "dgl.cli",
            "localize",
            args.images,
            "--out",
            out,
            "--gpu=-1",
        ]
        subprocess.check_call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        folder = time.time() - start
    print(f"folder run: {folder:.1f} s, {len(paths) / folder:.1f} images/s")
    print(f"server / folder: {seconds / folder:.2f}")


if __name__ == "__main__":
    main()
