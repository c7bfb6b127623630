"""Classification error on the validation split: during a training, and of a checkpoint with ``--val``."""

from argparse import Namespace
from dataclasses import replace
from typing import Any, Callable, Dict, Optional, Sequence

from tqdm import tqdm

from dgl.backbones import get_backbone
from dgl.data.flows import ValidationFlow
from dgl.data.sample import DataSet, Sample
from dgl.errors import UserError
from dgl.metrics.classification import ClassificationEvaluator
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.training.classes import check_order
from dgl.training.distributed import Ranks
from dgl.training.model import WRONG
from dgl.training.recipe import Recipe
from dgl.utils.devices import select_gpus
from dgl.weights import open_weights, options_from, read_card

from tensorpack.callbacks import ClassificationError, InferenceRunner  # isort: skip
from tensorpack.input_source import InputSource  # isort: skip
from tensorpack.utils.utils import get_tqdm_kwargs  # isort: skip

TOP1_ERROR = "val-error-top1"


class SummedError(ClassificationError):
    """Tensorpack's classification error, over the images of all ranks: exact, and the same on each."""

    def __init__(self, wrong_tensor: str, statistic: str, ranks: Ranks) -> None:
        """Prepare; ``wrong_tensor`` names the (N,) tensor of 0 and 1 in the prediction tower."""
        super().__init__(wrong_tensor, statistic)
        self._ranks = ranks

    def _setup_graph(self) -> None:
        if not self._ranks.single:
            import horovod.tensorflow as hvd

            self._counts = tf.placeholder(tf.int64, [2])
            name = "dgl_" + self.summary_name.replace("-", "_")
            self._sums = hvd.allreduce(self._counts, op=hvd.Sum, name=name)

    def _after_inference(self) -> Dict[str, float]:
        wrong, total = int(self.err_stat.count), int(self.err_stat.total)
        if not self._ranks.single:
            counts = {self._counts: [wrong, total]}
            wrong, total = (int(n) for n in self.trainer.sess.run(self._sums, counts))
        return {self.summary_name: wrong / float(total)}


class ValidationRunner(InferenceRunner):
    """Tensorpack's inference on every ``size``-th image of the list, starting at this rank's."""

    _chief_only = False

    def __init__(
        self,
        recipe: Recipe,
        samples: Sequence[Sample],
        ranks: Ranks,
        before_batch: Callable[[], Any],
        cached: Optional[InputSource] = None,
    ) -> None:
        """Divide the validation list among the ranks; all call ``before_batch`` equally often.

        ``cached`` replaces the images of the whole list, in the same batches.

        Raises:
            UserError: ``samples`` is empty.
        """
        settings = recipe.image_size, recipe.tower_batch, recipe.workers
        own = samples[ranks.rank :: ranks.size]
        # A rank without images still takes part; its flow is not read.
        flow = ValidationFlow(own or samples[:1], *settings)
        errors = [SummedError(WRONG.format(1), TOP1_ERROR, ranks)]
        if recipe.with_top5:
            errors.append(SummedError(WRONG.format(5), "val-error-top5", ranks))
        super().__init__(cached or flow, errors)
        self._own_batches = len(flow) if own else 0
        # Rank 0 has the most images.
        self._batches = len(ValidationFlow(samples[:: ranks.size], *settings))
        self._before_batch = before_batch
        self._progress = dict(get_tqdm_kwargs(), disable=not ranks.chief)

    def _trigger(self) -> None:
        for inferencer in self.infs:
            inferencer.before_epoch()
        if self._own_batches:
            self._input_source.reset_state()
        for number in tqdm(range(self._batches), **self._progress):
            self._before_batch()
            if number < self._own_batches:
                self._hooked_sess.run(fetches=[])
        for inferencer in self.infs:
            inferencer.trigger_epoch()


def validate(args: Namespace, mode: str, validation: DataSet) -> int:
    """Print the top-1 error of ``--load``, and its top-5 error if there are more than five classes.

    Raises:
        UserError: a checkpoint that is missing or does not fit, or a label beyond its classes.
    """
    backbone = get_backbone(mode)
    checkpoint = open_weights(backbone, args.load)
    card, data_set = read_card(checkpoint.path), args.data_set or "imagenet"
    options = options_from(backbone, checkpoint, data_set, args.width, args.norm, card)
    if args.laststride != 1:
        options = replace(options, last_stride=args.laststride)
    if args.strides:
        options = replace(options, strides=backbone.check_strides(args.strides))
    check_order(card, validation, f"--load: {checkpoint.path}")
    largest = max(sample.class_index for sample in validation.samples)
    if largest >= options.classes:
        raise UserError(
            f"{validation.name}: class {largest} is out of range: the checkpoint has classes 0 to "
            f"{options.classes - 1}"
        )
    size = args.final_size or backbone.image_size
    workers = 2 if args.workers is None else args.workers
    evaluator = ClassificationEvaluator(classes=options.classes)
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, size, size, 3], "input")
        gpus = select_gpus(args.gpu)
        network = build_inference(backbone, checkpoint, image, options, gpus)
        with open_session(gpus) as session:
            flow = ValidationFlow(validation.samples, size, min(args.batch, 64), workers)
            for images, labels in tqdm(flow, total=len(flow), unit=" batches", desc="validation"):
                evaluator.add(session.run(network.logits, {image: images}), labels)
    for name, value in sorted(evaluator.result().items()):
        print(f"{name}: {value}")
    return 0
