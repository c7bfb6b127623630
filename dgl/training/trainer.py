"""Train a classifier by a recipe on tensorpack: towers, callbacks of steps and epochs, resuming."""

import contextlib
import functools
import logging
import os
import time
from dataclasses import dataclass
from typing import Any, ContextManager, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dgl.data.flows import FailureKeeper, Share, new_seed, training_flow
from dgl.data.sample import DataSet
from dgl.errors import Stopped, UserError, first_line
from dgl.tf_compat import tf
from dgl.training.attention_callback import GT_KNOWN, AttentionCallback, AttentionImages
from dgl.training.checkpointing import (
    BestCheckpointer,
    Checkpointer,
    ResumePoint,
    find_resume_point,
)
from dgl.training.distributed import SINGLE, Ranks, RankTrainer, explain_lost_rank, from_chief
from dgl.training.early_stop import EarlyStop, StopOnBadLoss, StopOnDataFailure
from dgl.training.freeze import Activations, LayerInput, compute_activations
from dgl.training.log_folder import THROUGHPUT, Row, Statistics, log_folder, open_log_folder
from dgl.training.model import ClassifierModel
from dgl.training.recipe import VALIDATE_EVERY, Recipe
from dgl.training.validation import TOP1_ERROR, ValidationRunner
from dgl.utils.devices import EVERY_CORE, select_gpus
from dgl.weights import CARD_FILE, open_checkpoint, write_card
from dgl.weights.model_card import card_of

from tensorpack.callbacks import (  # isort: skip
    Callback,
    EnableCallbackIf,
    EstimatedTimeLeft,
    ProgressBar,
    ScheduledHyperParamSetter,
)
from tensorpack.callbacks.monitor import TFEventWriter  # isort: skip
from tensorpack.input_source import InputSource, QueueInput  # isort: skip
from tensorpack.tfutils.sesscreate import NewSessionCreator  # isort: skip
from tensorpack.tfutils.sessinit import DictRestore, SaverRestore, SessionInit  # isort: skip
from tensorpack.train.config import DEFAULT_CALLBACKS  # isort: skip
from tensorpack.train import (  # isort: skip
    SimpleTrainer,
    SyncMultiGPUTrainerParameterServer,
    TrainConfig,
    launch_train_with_config,
)
from tensorpack.utils import logger  # isort: skip
from tensorpack.utils.utils import fix_rng_seed  # isort: skip


class FirstEpoch(Callback):
    """Shorten the first epoch of a resumed run to the steps that are left of it."""

    _chief_only = False

    def __init__(self, left: int) -> None:
        self._left = left

    def _before_train(self) -> None:
        self._steps = self.trainer.loop.steps_per_epoch
        self.trainer.loop.steps_per_epoch = self._left

    def _after_epoch(self) -> None:
        self.trainer.loop.steps_per_epoch = self._steps


class Throughput(Callback):
    """Put the scalar ``pictures-per-second``, measured over the steps of an epoch.

    Unlike tensorpack's ``ThroughputTracker`` it puts none for a resumed epoch without steps.
    """

    def __init__(self, batch: int) -> None:
        """Prepare; ``batch`` is the number of images per step, over all towers and processes."""
        self._batch = batch

    def _before_epoch(self) -> None:
        self._steps = self.trainer.loop.steps_per_epoch
        self._start = time.time()

    def _after_epoch(self) -> None:
        seconds = time.time() - self._start
        if self._steps and seconds > 0:
            self.trainer.monitors.put_scalar(THROUGHPUT, self._steps * self._batch / seconds)


def validates_after(epoch: int, last: int) -> bool:
    """Whether validation follows an epoch: every fifth and the last."""
    return epoch % VALIDATE_EVERY == 0 or epoch == last


@dataclass
class Run:
    """One training run, and the callbacks that end it and write ``stats.json``."""

    folder: str  # of the log
    point: ResumePoint  # where the run begins
    ranks: Ranks = SINGLE  # this process among all; only the chief writes files
    # How often a checkpoint is saved in mid-epoch too, if at all
    save_minutes: Optional[float] = None
    gpus: int = 0  # of this host, from `dgl.utils.devices.select_gpus`
    attention: Optional[AttentionImages] = None  # whose maps the chief draws every epoch, if any

    def __post_init__(self) -> None:
        self.early_stop = EarlyStop(self.ranks)
        self.statistics = Statistics(self.folder, self.point.rows, self.early_stop)


def train(
    recipe: Recipe,
    training: DataSet,
    validation: DataSet,
    log_name: str,
    initial_values: Optional[Dict[str, np.ndarray]] = None,
    resume: bool = False,
    save_minutes: Optional[float] = None,
    ranks: Ranks = SINGLE,
    gpus: int = 0,
    attention: Optional[AttentionImages] = None,
) -> str:
    """Train, leaving the last and the best checkpoint in ``train_log/<log_name>/``, which is returned.

    Args:
        recipe, training, validation: settings and data sets.
        log_name: folder below ``train_log/``.
        initial_values: variable name -> array, or ``None`` for random values.
        resume: continue from the last checkpoint in the folder, with its step and optimizer state.
        save_minutes, ranks, gpus, attention: see :class:`Run`.

    Raises:
        UserError: the log folder cannot be used or written, a decoding process ended, or the loss is not
            finite; the last good checkpoint is there to resume from.
        Stopped: a signal stopped training; a checkpoint is saved.
    """
    tf.disable_v2_behavior()  # also in a program that loaded TensorFlow itself
    folder = log_folder(log_name)
    log: ContextManager[Any] = contextlib.nullcontext()
    if ranks.chief:
        log = open_log_folder(log_name, resume)
    else:
        logger.setLevel(logging.WARNING)
    with log, explain_lost_rank(ranks):
        point = ResumePoint(recipe.steps)
        if resume and ranks.chief:
            check = functools.partial(is_complete, recipe, attention)
            point = find_resume_point(folder, recipe, check)
        step, epoch, left = from_chief(ranks, [point.step, point.epoch, point.left])
        point = point._replace(step=step, epoch=epoch, left=left)
        if point.epoch > recipe.epochs:
            logger.info("%s has all of its %d epochs already.", folder, recipe.epochs)
            return folder
        if recipe.seed is not None:
            # Dropout masks differ between ranks; a resumed run does not repeat those of the first steps.
            own_seed = recipe.seed + point.step * ranks.size + ranks.rank
            fix_rng_seed(own_seed)
            tf.set_random_seed(own_seed)
        if ranks.chief:
            card = card_of(recipe.mode, recipe.options, recipe.image_size, training)
            write_card(os.path.join(folder, CARD_FILE), card)
        seed = from_chief(ranks, new_seed() if recipe.seed is None else recipe.seed)
        run = Run(folder, point, ranks, save_minutes, gpus, attention)
        flow, cached = _flow(recipe, training, validation, run, initial_values or {}, seed)
        session_init = DictRestore(initial_values) if initial_values else None
        if point.prefix is not None:
            session_init = SaverRestore(point.prefix)
        try:
            config = configure(recipe, flow, validation, run, session_init, cached=cached)
            launch_train_with_config(*config)
        except tf.errors.ResourceExhaustedError as error:
            raise UserError(
                f"--batch {recipe.batch}: out of memory ({first_line(error)}); expected a smaller one"
            ) from None
        finally:
            failure = flow.error
            flow.close()
    reason = run.early_stop.reason
    if reason is None:
        return folder
    if failure is not None and not isinstance(failure, UserError):
        raise failure
    message = f"{reason.message}; go on with --resume"
    raise UserError(message) if reason.exit_code == 1 else Stopped(message, reason.exit_code)


def _flow(
    recipe: Recipe,
    training: DataSet,
    validation: DataSet,
    run: Run,
    initial_values: Dict[str, np.ndarray],
    seed: int,
) -> Tuple[FailureKeeper, Optional[Activations]]:
    """Batches of a tower, from where the run begins; with a frozen layer, validation's activations too."""
    start = run.point.step * recipe.batch
    if not recipe.freeze:
        share = Share(recipe.batch, run.ranks.rank, run.ranks.size)
        size, batch = recipe.image_size, recipe.tower_batch
        flow = training_flow(training.samples, size, batch, recipe.workers, seed, share, start)
        return flow, None
    if run.point.prefix is not None:
        checkpoint = open_checkpoint(run.point.prefix)
        initial_values = {name: checkpoint.read(name) for name in checkpoint.shapes}
    own, cached = compute_activations(
        recipe, initial_values, training.samples, validation.samples, seed, run.gpus
    )
    return own.training_flow(recipe.batch, seed, start), cached


def is_complete(recipe: Recipe, attention: Optional[AttentionImages], row: Row) -> bool:
    """Whether all that follows the steps of an epoch is done, by its row in ``stats.json``."""
    measured = attention is None or not attention.measured or GT_KNOWN in row
    awaited = validates_after(row["epoch_num"], recipe.epochs)
    return TOP1_ERROR in row or (measured and not awaited)  # validation comes last


def configure(
    recipe: Recipe,
    flow: FailureKeeper,
    validation: DataSet,
    run: Run,
    session_init: Optional[SessionInit] = None,
    callbacks: Sequence[Callback] = (),
    cached: Optional[Activations] = None,
) -> Tuple[TrainConfig, Any]:
    """Set up tensorpack for a recipe.

    Tensorpack's log folder must be that of ``run``. ``flow`` has batches of one tower: of images, or of
    activations at the recipe's frozen layer, where ``cached`` are those of validation.

    Returns:
        (``TrainConfig``, trainer), the arguments of ``launch_train_with_config``.
    """
    creator = NewSessionCreator()
    creator.config.intra_op_parallelism_threads = EVERY_CORE
    if not select_gpus(None):
        creator.config.device_count["GPU"] = 0  # looking for one without a driver prints errors
    if recipe.towers > 1:
        # Each tower has an operation that waits in its thread until the tower has taken a batch. With as
        # few threads as towers, which is as many as cores by default, nothing else would run.
        creator.config.inter_op_parallelism_threads = max(os.cpu_count() or 1, 2 * recipe.towers)
        creator.config.use_per_session_threads = True
    early_stop, point = run.early_stop, run.point
    checkpointer = Checkpointer(run.statistics, run.save_minutes, point.prefix)
    model = ClassifierModel(recipe)
    data: InputSource = QueueInput(flow)
    validation_data = None
    if cached is not None:
        # Rewritten graphs compute what is below a fed tensor, if only for its shape.
        creator.config.graph_options.rewrite_options.disable_meta_optimizer = True
        data = LayerInput(flow, lambda: model.frozen_layers[True])
        validation_flow = cached.validation_flow(recipe.tower_batch)
        validation_data = LayerInput(validation_flow, lambda: model.frozen_layers[False])
    validate = ValidationRunner(
        recipe, validation.samples, run.ranks, early_stop.stop_if_requested, validation_data
    )
    attention = []
    if run.attention is not None:
        # Several processes cannot agree on a stop while only the chief draws maps.
        before_batch = early_stop.stop_if_requested if run.ranks.single else None
        attention = [AttentionCallback(recipe, run.attention, validation.class_name, before_batch)]
    own: List[Callback] = [
        FirstEpoch(point.left),
        StopOnDataFailure(flow, early_stop, recipe.towers),
        StopOnBadLoss(early_stop, checkpointer.describe),
        early_stop,
        Throughput(recipe.batch),
        checkpointer,
        *attention,
        EnableCallbackIf(validate, lambda own: validates_after(own.epoch_num, recipe.epochs)),
        BestCheckpointer(TOP1_ERROR, checkpointer),
        ScheduledHyperParamSetter("learning_rate", recipe.schedule),
        EstimatedTimeLeft(),
    ]
    monitors: List[Callback] = []
    defaults = DEFAULT_CALLBACKS()
    if run.ranks.chief:
        monitors = [TFEventWriter(), run.statistics]
    else:
        own = [callback for callback in own if not callback.chief_only]
        defaults = [callback for callback in defaults if not isinstance(callback, ProgressBar)]
    config = TrainConfig(
        model=model,
        data=data,
        callbacks=own + list(callbacks),
        extra_callbacks=defaults,
        monitors=monitors,
        session_creator=creator,
        session_init=session_init,
        steps_per_epoch=recipe.steps,
        starting_epoch=point.epoch,
        max_epoch=recipe.epochs,
    )
    return config, _trainer(recipe, run)


def _trainer(recipe: Recipe, run: Run) -> Any:
    if not run.ranks.single:
        trainer = RankTrainer(run.ranks, run.gpus)
    elif recipe.towers == 1:
        trainer = SimpleTrainer()
    else:
        # Soft placement puts towers on the CPU if there are fewer GPUs.
        trainer = SyncMultiGPUTrainerParameterServer(list(range(recipe.towers)), ps_device="cpu")
    # Otherwise a weight may change while backpropagation to the layers below still reads it. Waiting for
    # all gradients does the same, and none is computed of a frozen layer.
    trainer.GATE_GRADIENTS = tf.train.Optimizer.GATE_GRAPH if recipe.freeze else True
    return trainer
