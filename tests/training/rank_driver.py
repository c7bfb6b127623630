"""Trainings of the real script in one rank (or one process), watched: what it computed, drew and wrote.

    python rank_driver.py SCRIPT FOLDER FLAGS [FLAGS ...]

Each FLAGS is a training of its own. Rank R works in ``FOLDER/rankR`` and leaves ``FOLDER/<logdir>-R.npz``:
all variables after the last step, and the names of the images in the order in which they were drawn. A
training whose logdir begins with ``apart`` exchanges no gradients.
"""

import os
import runpy
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import numpy as np
from tensorpack.callbacks import Callback

from dgl.data import flows
from dgl.tf_compat import tf
from dgl.training import distributed, trainer

RANK = int(os.environ.get("HOROVOD_RANK", 0))
DRAWN = []


class Watch(Callback):
    """Takes the variables before the end of an epoch, at which the chief's go to all."""

    _chief_only = False

    def __init__(self, path):
        self._path = path

    def _setup_graph(self):
        self._variables = {v.name.split(":")[0]: v for v in tf.global_variables()}

    def _after_epoch(self):
        values = self.trainer.sess.run(self._variables)
        np.savez(self._path, drawn=np.array(DRAWN), **values)


def watch_draws(iterate):
    def watched(self):
        for draw in iterate(self):
            DRAWN.append(os.path.basename(draw[0].path))
            yield draw

    return watched


def main(script, folder, *trainings):
    os.makedirs(os.path.join(folder, f"rank{RANK}"), exist_ok=True)
    os.chdir(os.path.join(folder, f"rank{RANK}"))
    run = runpy.run_path(script)["main"]
    configure, exchange = trainer.configure, distributed.RankTrainer.allreduce
    flows.ShuffledDraws.__iter__ = watch_draws(flows.ShuffledDraws.__iter__)
    for flags in trainings:
        flags = flags.split()
        name = flags[flags.index("--logdir") + 1]
        watch = Watch(os.path.join(folder, f"{name}-{RANK}.npz"))
        trainer.configure = lambda *a, watch=watch, **k: configure(*a, callbacks=[watch], **k)
        apart = name.startswith("apart")
        distributed.RankTrainer.allreduce = (lambda self, grads: grads) if apart else exchange
        del DRAWN[:]
        with tf.Graph().as_default():
            run(flags)


if __name__ == "__main__":
    main(*sys.argv[1:])
