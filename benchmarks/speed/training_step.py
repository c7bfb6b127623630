"""Time the trainer's step and a bare `session.run` of the same graph, in turn in one session.

The trainer is that of :mod:`dgl.training.trainer` with all of its callbacks, and takes its batches from
memory through its queue. After each of its epochs as many bare steps follow: they give the same batch to
the same graph in the trainer's place, and leave out what only the trainer does (queue, counters, moving
averages of statistics, summaries, progress bar). An epoch is much shorter here than in a training, so what
happens once in an epoch's last step weighs more than it does there.

`python -m benchmarks.speed.training_step CASE OUT` measures in a process of its own: TensorFlow sizes its
threads for the first session of a process.
"""

import json
import os
import sys
import time
from typing import NamedTuple

import numpy as np

from dgl.backbones import BuildOptions, get_backbone
from dgl.data.flows import FailureKeeper
from dgl.data.sample import DataSet
from dgl.tf_compat import tf
from dgl.training.checkpointing import ResumePoint
from dgl.training.recipe import Recipe
from dgl.training.trainer import Run, configure

from tensorpack.callbacks import Callback  # isort: skip
from tensorpack.dataflow import DataFlow  # isort: skip
from tensorpack.train import launch_train_with_config  # isort: skip
from tensorpack.utils import logger  # isort: skip

CLASSES = 200
HEAD = "linear_cub"
_RATE = 1e-4
_WARM_UP = 1  # rounds that are not counted
_INPUT = "QueueInput/input_deque"


class Case(NamedTuple):
    """What to train.

    Attributes:
        mode: backbone.
        width: channel multiplier.
        batch: images a step.
        size: side of the images.
        steps: of an epoch, and of the bare loop that follows it.
        rounds: epochs counted.
    """

    mode: str
    width: float
    batch: int
    size: int
    steps: int
    rounds: int


class MemoryFlow(DataFlow):
    """One batch, over and over."""

    def __init__(self, images, labels):
        self._batch = [images, labels]

    def __iter__(self):
        while True:
            yield self._batch


class BareSteps(Callback):
    """After each epoch, as many steps without the trainer; times both.

    Attributes:
        trainer_times, bare_times: seconds and seconds of processor a step, one pair an epoch.
    """

    def __init__(self, images, labels, steps):
        self._values = (images, labels)
        self._steps = steps
        self.trainer_times, self.bare_times = [], []

    def _setup_graph(self):
        # BatchNorm's statistics are part of what a step trains.
        updates = self.graph.get_collection(tf.GraphKeys.UPDATE_OPS)
        self._fetches = [self.trainer.train_op] + updates
        inputs = self.graph.get_operation_by_name(_INPUT).outputs
        self._feeds = dict(zip(inputs, self._values))

    def step(self):
        """One step of training; the queue is not asked."""
        self.trainer.sess.run(self._fetches, self._feeds)

    def _before_epoch(self):
        self._start = _now()

    def _after_epoch(self):
        self.trainer_times.append((_now() - self._start) / self._steps)

    def _trigger_epoch(self):
        start = _now()
        for _ in range(self._steps):
            self.step()
        self.bare_times.append((_now() - start) / self._steps)


def _now():
    """Seconds, and seconds of processor of this process and all of its threads."""
    return np.array([time.perf_counter(), time.process_time()])


def recipe_of(case):
    """The published recipe of a case, on the CPU and with as many epochs as there are rounds."""
    backbone = get_backbone(case.mode)
    return Recipe(
        mode=case.mode,
        options=BuildOptions(
            classes=CLASSES,
            head=HEAD,
            width=backbone.round_width(case.width),
            norm=backbone.norms[0],
        ),
        image_size=case.size,
        batch=case.batch,
        towers=1,
        steps=case.steps,
        epochs=case.rounds + _WARM_UP,
        base_lr=_RATE,
        weight_decay=backbone.weight_decay,
        seed=1,
    )


def batch_of(case):
    """Noise (N, S, S, 3) uint8 and labels (N,) int32: what is on an image takes no time."""
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (case.batch, case.size, case.size, 3)).astype("uint8")
    return images, rng.randint(0, CLASSES, case.batch).astype("int32")


def train(case, validation, callback):
    """Train a case from memory, with a callback beside the recipe's own, logging to the log folder.

    Args:
        case: :class:`Case`.
        validation: list of :class:`~dgl.data.sample.Sample`, at least one.
        callback: tensorpack callback.
    """
    recipe = recipe_of(case)
    tf.set_random_seed(recipe.seed)
    validation = DataSet(
        name="made",
        format="made",
        split="val",
        samples=validation,
        class_names=None,
        classes=CLASSES,
    )
    flow = FailureKeeper(MemoryFlow(*batch_of(case)))
    run = Run(logger.get_logger_dir(), ResumePoint(recipe.steps))
    launch_train_with_config(*configure(recipe, flow, validation, run, callbacks=[callback]))


def measure(case, validation):
    """Times of a case, one of each list a round.

    Returns:
        ordered ``trainer`` and ``bare``: seconds a step, and the same of the processor's seconds, which
        other programs disturb least, as ``trainer_processor`` and ``bare_processor``.
    """
    bare = BareSteps(*(batch_of(case) + (case.steps,)))
    train(case, validation, bare)
    times = {}
    for name, steps in (("trainer", bare.trainer_times), ("bare", bare.bare_times)):
        seconds, processor = np.array(steps)[_WARM_UP:].T.tolist()
        times[name], times[name + "_processor"] = seconds, processor
    return times


def main(case, out):
    from benchmarks.speed.decoding import write_images

    folder = os.path.dirname(out)
    logger.set_logger_dir(os.path.join(folder, "log"), action="d")
    times = measure(Case(**json.loads(case)), write_images(folder, 1))
    with open(out, "w") as stream:
        json.dump(times, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
