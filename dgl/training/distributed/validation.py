"""Validation by all ranks: each measures its share of the list, and the counts are added up exactly."""

from typing import Any, Callable, Mapping, Optional, Sequence

from tqdm import tqdm

from dgl.data.flows import ValidationFlow
from dgl.data.sample import Sample
from dgl.tf_compat import tf
from dgl.training.distributed.ranks import Ranks

from tensorpack.callbacks import ClassificationError, InferenceRunner  # isort: skip
from tensorpack.utils.utils import get_tqdm_kwargs  # isort: skip


class SummedError(ClassificationError):
    """Share of wrong images over the shares of all ranks, the same number on each of them.

    The counts are whole numbers, so it equals what one process counts on the whole list.
    """

    def __init__(self, wrong_tensor: str, statistic: str, ranks: Ranks):
        """Wrap tensorpack's counter.

        Args:
            wrong_tensor: name of the (N,) tensor of 0 and 1 in the prediction tower.
            statistic: name under which the monitors get the error.
            ranks: :class:`~dgl.training.distributed.ranks.Ranks`.
        """
        super().__init__(wrong_tensor, statistic)
        self._ranks = ranks

    def _setup_graph(self):
        if not self._ranks.alone:
            import horovod.tensorflow as hvd

            self._counts = tf.placeholder(tf.int64, [2])
            name = "dgl_" + self.summary_name.replace("-", "_")
            self._sums = hvd.allreduce(self._counts, op=hvd.Sum, name=name)

    def _after_inference(self):
        wrong, total = int(self.err_stat.count), int(self.err_stat.total)
        if not self._ranks.alone:
            counts = {self._counts: [wrong, total]}
            wrong, total = (int(n) for n in self.trainer.sess.run(self._sums, counts))
        return {self.summary_name: wrong / float(total)}


class SharedInferenceRunner(InferenceRunner):
    """Tensorpack's inference on this rank's share of the list: every ``size``-th picture."""

    _chief_only = False

    def __init__(
        self,
        samples: Sequence[Sample],
        image_size: int,
        batch: int,
        workers: int,
        errors: Mapping[str, str],
        ranks: Ranks,
        between: Optional[Callable[[], Any]] = None,
    ):
        """Divide the list.

        Args:
            samples: list of :class:`~dgl.data.sample.Sample`, the same on every rank.
            image_size: side of the views in pixels.
            batch: images a batch of this rank.
            workers: threads that decode.
            errors: wrong tensor -> statistic of :class:`SummedError`; ordered alike on all ranks.
            ranks: :class:`~dgl.training.distributed.ranks.Ranks`.
            between: callable without arguments, called before every batch, equally often on every rank
                (such as :meth:`~dgl.training.distributed.sync.JointHalting.stop_if_asked`), or ``None``.

        Raises:
            UserError: ``samples`` is empty.
        """
        share = samples[ranks.rank :: ranks.size]
        # Without a share of its own a rank still takes part: it gets a flow, which it does not read.
        flow = ValidationFlow(share or samples[:1], image_size, batch, workers)
        super().__init__(flow, [SummedError(wrong, name, ranks) for wrong, name in errors.items()])
        self._own_rounds = len(flow) if share else 0
        # Rank 0 has the largest share.
        self._rounds = len(ValidationFlow(samples[:: ranks.size], image_size, batch, workers))
        self._between = between
        self._progress = dict(get_tqdm_kwargs(), disable=not ranks.chief)

    def _trigger(self):
        for inferencer in self.infs:
            inferencer.before_epoch()
        if self._own_rounds:
            self._input_source.reset_state()
        for number in tqdm(range(self._rounds), **self._progress):
            if self._between is not None:
                self._between()
            if number < self._own_rounds:
                self._hooked_sess.run(fetches=[])
        for inferencer in self.infs:
            inferencer.trigger_epoch()
