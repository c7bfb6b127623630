"""Run a recipe on tensorpack: towers, callbacks, resuming."""

import contextlib
import logging
import os
from typing import Any, ContextManager, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.data.flows import FailureKeeper, Share, new_seed, training_flow
from dgl.data.sample import DataSet
from dgl.errors import Stopped, UserError, first_line
from dgl.tf_compat import tf
from dgl.training.attention_callback import GT_KNOWN, Watcher
from dgl.training.attention_images import Watching
from dgl.training.callbacks import (
    EpochLine,
    EveryEpochs,
    FiniteLoss,
    FirstEpoch,
    StopOnFailure,
    Throughput,
    is_due,
)
from dgl.training.checkpointing import BestKeeper, Keeper
from dgl.training.distributed.horovod import make_horovod_trainer
from dgl.training.distributed.ranks import ALONE, Ranks, agree_on, others_may_end
from dgl.training.distributed.sync import JointHalting
from dgl.training.distributed.validation import SharedInferenceRunner
from dgl.training.early_stop import Halting
from dgl.training.log_folder import LogFolder, log_folder
from dgl.training.model import WRONG, ClassifierModel
from dgl.training.recipe import VALIDATE_EVERY, Recipe
from dgl.training.resume import Point, beginning, find_point
from dgl.training.statistics import Statistics
from dgl.utils.devices import use_every_core
from dgl.weights import CARD_FILE, ModelCard, write_card

from tensorpack.callbacks import Callback, ProgressBar, ScheduledHyperParamSetter  # isort: skip
from tensorpack.callbacks.monitor import TFEventWriter  # isort: skip
from tensorpack.input_source import QueueInput  # isort: skip
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

BEST = "val-error-top1"


class Run(NamedTuple):
    """What the parts of one training share.

    Attributes:
        ranks: :class:`~dgl.training.distributed.ranks.Ranks`; the chief alone writes.
        folder: the log folder.
        point: :class:`~dgl.training.resume.Point` that it begins at.
        halting: :class:`~dgl.training.early_stop.Halting`.
        statistics: :class:`~dgl.training.statistics.Statistics`.
        save_minutes: keep the state this often in mid-epoch, or ``None``.
        gpus: GPUs of this host.
        watching: :class:`~dgl.training.attention_images.Watching`, or ``None``.
    """

    ranks: Ranks
    folder: str
    point: Point
    halting: Halting
    statistics: Statistics
    save_minutes: Optional[float] = None
    gpus: int = 0
    watching: Optional[Watching] = None


def new_run(
    folder: str,
    point: Point,
    ranks: Ranks = ALONE,
    save_minutes: Optional[float] = None,
    gpus: int = 0,
    watching: Optional[Watching] = None,
) -> Run:
    """The :class:`Run` of a training that begins at ``point`` in a log folder."""
    halting = Halting() if ranks.alone else JointHalting(ranks)
    statistics = Statistics(folder, point.rows, halting)
    return Run(ranks, folder, point, halting, statistics, save_minutes, gpus, watching)


def _validation(recipe, samples, run):
    errors = {WRONG.format(1): BEST}
    if recipe.with_top5:
        errors[WRONG.format(5)] = "val-error-top5"
    runner = SharedInferenceRunner(
        samples,
        recipe.image_size,
        recipe.tower_batch,
        recipe.workers,
        errors,
        run.ranks,
        run.halting.stop_if_asked,
    )
    return EveryEpochs(runner, VALIDATE_EVERY)


def _watchers(recipe, validation, run):
    """The callbacks that watch, if anything is watched."""
    if run.watching is None:
        return []
    # Several processes agree on a stop between two steps, not while the chief looks on alone.
    between = run.halting.stop_if_asked if run.ranks.alone else None
    return [Watcher(recipe, run.watching, validation.class_name, between)]


def _is_over(recipe, watching=None):
    """Row of ``stats.json`` -> whether all that follows the steps of its epoch was done."""

    def is_over(row):
        if BEST in row:
            return True  # validation comes last
        measured = watching is None or not watching.measured or GT_KNOWN in row
        return measured and not is_due(row["epoch_num"], VALIDATE_EVERY, recipe.epochs)

    return is_over


def configure(
    recipe: Recipe,
    flow: FailureKeeper,
    validation: DataSet,
    run: Run,
    session_init: Optional[SessionInit] = None,
    callbacks: Sequence[Callback] = (),
) -> Tuple[TrainConfig, Any]:
    """The recipe on tensorpack, for ``launch_train_with_config``.

    Args:
        recipe: :class:`~dgl.training.recipe.Recipe`.
        flow: :class:`~dgl.data.flows.FailureKeeper` of the batches of a tower.
        validation: :class:`~dgl.data.sample.DataSet`.
        run: :class:`Run`; tensorpack's log folder has to be the run's.
        session_init: tensorpack session initializer, or ``None`` for random values.
        callbacks: tensorpack callbacks beside the recipe's own.

    Returns:
        (``TrainConfig``, trainer).
    """
    creator = NewSessionCreator()
    use_every_core(creator.config)
    halting, statistics, point = run.halting, run.statistics, run.point
    keeper = Keeper(run.folder, statistics, halting, run.save_minutes, point.prefix)
    own: List[Callback] = [
        FirstEpoch(point.left),
        StopOnFailure(flow, halting, recipe.towers),
        FiniteLoss(halting, keeper.describe),
        halting,
        Throughput(recipe.batch),
        keeper,
        *_watchers(recipe, validation, run),
        _validation(recipe, validation.samples, run),
        BestKeeper(BEST, keeper, statistics, halting),
        ScheduledHyperParamSetter("learning_rate", recipe.schedule),
    ]
    monitors: List[Callback] = []
    defaults = DEFAULT_CALLBACKS()
    if run.ranks.chief:
        monitors = [TFEventWriter(), statistics, EpochLine(recipe.steps)]
    else:
        # One account of a training is enough for people.
        own = [callback for callback in own if not callback.chief_only]
        defaults = [callback for callback in defaults if not isinstance(callback, ProgressBar)]
    config = TrainConfig(
        model=ClassifierModel(recipe),
        data=QueueInput(flow),
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


def _trainer(recipe, run):
    if not run.ranks.alone:
        return make_horovod_trainer(run.ranks, run.gpus)
    if recipe.towers == 1:
        trainer = SimpleTrainer()
    else:
        # Soft placement puts the towers on the CPU where there are fewer GPUs.
        trainer = SyncMultiGPUTrainerParameterServer(list(range(recipe.towers)), ps_device="cpu")
    # Without it a weight may change while backpropagation to the layers below still reads it.
    trainer.GATE_GRADIENTS = True
    return trainer


def _point(folder, recipe, resume, ranks, watching):
    """Where to begin, the same on every rank; only the chief's folder is asked."""
    point = beginning(recipe.steps)
    if resume and ranks.chief:
        point = find_point(folder, recipe, _is_over(recipe, watching))
    step, epoch, left = agree_on(ranks, [point.step, point.epoch, point.left])
    return Point(point.prefix, step, epoch, left, point.rows)


def train(
    recipe: Recipe,
    training: DataSet,
    validation: DataSet,
    log_name: str,
    initial_values: Optional[Dict[str, np.ndarray]] = None,
    resume: bool = False,
    save_minutes: Optional[float] = None,
    ranks: Ranks = ALONE,
    gpus: int = 0,
    watching: Optional[Watching] = None,
) -> str:
    """Train, leaving the last and the best checkpoint in ``train_log/<log_name>/``.

    Args:
        recipe: :class:`~dgl.training.recipe.Recipe`.
        training, validation: :class:`~dgl.data.sample.DataSet`.
        log_name: folder below ``train_log/``.
        initial_values: variable name -> array, or ``None`` to start from random values.
        resume: go on from the last checkpoint in the folder, with its epoch, step and optimizer state.
        save_minutes: keep the state this often in mid-epoch too, or ``None`` for the ends of epochs.
        ranks: :class:`~dgl.training.distributed.ranks.Ranks` of this process.
        gpus: GPUs of this host, from :func:`~dgl.utils.devices.select_gpus`.
        watching: :class:`~dgl.training.attention_images.Watching`, what is drawn and measured every epoch, or
            ``None``; the chief's alone counts.

    Returns:
        the log folder.

    Raises:
        UserError: the log folder cannot be used or written, the processes that decode ended, or the
            loss is no number; the last good checkpoint is there to resume from.
        Stopped: a signal asked for the end; the state is kept.
    """
    if ranks.chief:
        log: ContextManager[Any] = LogFolder(log_name, resume)
    else:
        logger.setLevel(logging.WARNING)
        log = contextlib.nullcontext()
    folder = log_folder(log_name)
    with log, others_may_end(ranks):
        point = _point(folder, recipe, resume, ranks, watching)
        if point.epoch > recipe.epochs:
            logger.info("%s has all of its %d epochs already.", folder, recipe.epochs)
            return folder
        run = new_run(folder, point, ranks, save_minutes, gpus, watching)
        _train(recipe, training, validation, run, initial_values)
    return folder


def _train(recipe, training, validation, run, initial_values):
    point, ranks = run.point, run.ranks
    if recipe.seed is not None:
        # Masks of dropout are neither those of the first steps again nor those of another rank.
        own = recipe.seed + point.step * ranks.size + ranks.rank
        fix_rng_seed(own)
        tf.set_random_seed(own)
    card = ModelCard(
        mode=recipe.mode,
        image_size=recipe.image_size,
        class_names=training.class_names,
        data_set=training.name,
        last_stride=recipe.options.last_stride,
    )
    if ranks.chief:
        write_card(os.path.join(run.folder, CARD_FILE), card)
    order = agree_on(ranks, new_seed() if recipe.seed is None else recipe.seed)
    flow = training_flow(
        training.samples,
        recipe.image_size,
        recipe.tower_batch,
        recipe.workers,
        order,
        Share(recipe.batch, ranks.rank, ranks.size),
        start=point.step * recipe.batch,
    )
    session_init = None
    if point.prefix is not None:
        session_init = SaverRestore(point.prefix)
    elif initial_values:
        session_init = DictRestore(initial_values)
    try:
        launch_train_with_config(*configure(recipe, flow, validation, run, session_init))
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(
            f"--batch {recipe.batch}: out of memory ({first_line(error)}); expected a smaller one"
        ) from None
    _tell(run, flow)


def _tell(run, flow):
    """Raise what ended training early."""
    reason = run.halting.reason
    if reason is None:
        return
    if flow.error is not None and not isinstance(flow.error, UserError):
        raise flow.error
    if reason.exit_code != 1:
        raise Stopped(f"{reason.message}; go on with --resume", reason.exit_code)
    raise UserError(f"{reason.message}; go on with --resume")
