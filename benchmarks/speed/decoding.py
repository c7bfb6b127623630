"""Measure how many images per second training decodes and augments, and how many cores that takes."""

import multiprocessing
import os
import time

import cv2
import numpy as np
import psutil

from dgl.data.flows import training_flow
from dgl.data.sample import Sample

HEIGHT, WIDTH = 375, 500  # the usual image of ILSVRC
QUALITY = 95
_DETAIL = (6, 24, 96, 375)  # rows of noise that an image is the sum of, the coarse ones strongest


def write_images(folder, count):
    """Write JPEGs with detail at every scale, as photographs have it.

    Returns:
        list of :class:`~dgl.data.sample.Sample`.
    """
    samples = []
    for index in range(count):
        rng = np.random.RandomState(index)
        image = np.full((HEIGHT, WIDTH, 3), 128.0)
        for rows in _DETAIL:
            noise = rng.normal(0, 40 * (_DETAIL[0] / float(rows)) ** 0.4, (rows, rows, 3))
            image += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        path = os.path.join(folder, f"{index}.jpg")
        encoded = cv2.imencode(
            ".jpg", np.clip(image, 0, 255).astype("uint8"), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        )[1]
        with open(path, "wb") as stream:
            stream.write(encoded.tobytes())
        samples.append(Sample(os.path.basename(path), path, index))
    return samples


def _processor_seconds(processes):
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def measure(samples, size, batch, workers, rounds, batches):
    """Go through a training flow and do nothing else.

    Args:
        samples: of :func:`write_images`.
        size: side of the views.
        batch: images a batch.
        workers: processes; 0 decodes in this one.
        rounds: times to measure.
        batches: of a round.

    Returns:
        ordered ``rate``: images a second, ``busy``: cores kept busy by this process and those that
        decode, ``own``: of this one alone; a list each, one number a round.
    """
    before = set(multiprocessing.active_children())
    flow = training_flow(samples, size, batch, workers, seed=1)
    flow.reset_state()
    points = iter(flow)
    started = [child for child in multiprocessing.active_children() if child not in before]
    here = psutil.Process()
    children = [psutil.Process(child.pid) for child in started]
    found = {"rate": [], "busy": [], "own": []}
    try:
        # What waits in the processes' queues at first would otherwise come for nothing.
        for _ in range(batches):
            next(points)
        for _ in range(rounds):
            start = time.perf_counter()
            spent, own = _processor_seconds([here] + children), _processor_seconds([here])
            for _ in range(batches):
                next(points)
            seconds = time.perf_counter() - start
            found["rate"].append(batches * batch / seconds)
            found["busy"].append((_processor_seconds([here] + children) - spent) / seconds)
            found["own"].append((_processor_seconds([here]) - own) / seconds)
    finally:
        points.close()
        flow.close()
    return found
