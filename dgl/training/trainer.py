"""Run a recipe on tensorpack: towers, callbacks, resuming."""

import os

from dgl.data.flows import ValidationFlow, training_flow
from dgl.devices import use_every_core
from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.training.callbacks import BestSaver, EveryEpochs, StopOnFailure
from dgl.training.model import WRONG, ClassifierModel
from dgl.training.recipe import VALIDATE_EVERY
from dgl.weights import CARD_FILE, ModelCard, write_card

from tensorpack.callbacks import (  # isort: skip
    ClassificationError,
    InferenceRunner,
    JSONWriter,
    ModelSaver,
    ScheduledHyperParamSetter,
)
from tensorpack.input_source import QueueInput  # isort: skip
from tensorpack.tfutils.sesscreate import NewSessionCreator  # isort: skip
from tensorpack.tfutils.sessinit import DictRestore, SaverRestore  # isort: skip
from tensorpack.train import (  # isort: skip
    SimpleTrainer,
    SyncMultiGPUTrainerParameterServer,
    TrainConfig,
    launch_train_with_config,
)
from tensorpack.utils import logger  # isort: skip
from tensorpack.utils.utils import fix_rng_seed  # isort: skip

LOG_ROOT = "train_log"
BEST = "val-error-top1"
_FOREVER_HOURS = 1e6  # keeps no checkpoint but the last; the best one is copied under its own name


def open_log(name, resume):
    """Make ``train_log/<name>`` the log folder; an earlier run in it is moved aside, unless resumed."""
    folder = os.path.join(LOG_ROOT, name)
    try:
        logger.set_logger_dir(folder, action="k" if resume else "b")
    except OSError as error:
        raise UserError("--logdir {}: {}".format(name, error)) from None
    return folder


def _resume_point(folder, steps):
    """(session initialiser, next epoch) of an interrupted run, or (None, 1).

    The epoch is the one that the run's ``stats.json`` gives to the checkpoint's step; a run that stopped
    before it could write that line is counted by ``steps``.
    """
    prefix = tf.train.latest_checkpoint(folder)
    if prefix is None:
        logger.info("Nothing to resume in %s: starting from the first epoch.", folder)
        return None, 1
    step = int(tf.train.load_checkpoint(prefix).get_tensor("global_step"))
    for row in JSONWriter.load_existing_json() or []:
        if row.get("global_step") == step and "epoch_num" in row:
            return SaverRestore(prefix), int(row["epoch_num"]) + 1
    return SaverRestore(prefix), step // steps + 1


def _callbacks(recipe, validation):
    inferencers = [ClassificationError(WRONG.format(1), BEST)]
    if recipe.with_top5:
        inferencers.append(ClassificationError(WRONG.format(5), "val-error-top5"))
    flow = ValidationFlow(
        validation.samples, recipe.image_size, recipe.batch // recipe.towers, recipe.workers
    )
    return [
        ModelSaver(max_to_keep=1, keep_checkpoint_every_n_hours=_FOREVER_HOURS),
        EveryEpochs(InferenceRunner(flow, inferencers), VALIDATE_EVERY),
        BestSaver(BEST),
        ScheduledHyperParamSetter("learning_rate", recipe.schedule),
    ]


def configure(recipe, flow, validation, session_init=None, epoch=1, callbacks=()):
    """The recipe on tensorpack, for ``launch_train_with_config``.

    The log folder has to be set before.

    Args:
        recipe: :class:`~dgl.training.recipe.Recipe`.
        flow: :class:`~dgl.data.flows.FailureKeeper` of the batches of a tower.
        validation: :class:`~dgl.data.sample.DataSet`.
        session_init: tensorpack session initialiser, or ``None`` for random values.
        epoch: first epoch, counted from 1.
        callbacks: tensorpack callbacks beside the recipe's own.

    Returns:
        (``TrainConfig``, trainer).
    """
    creator = NewSessionCreator()
    use_every_core(creator.config)
    config = TrainConfig(
        model=ClassifierModel(recipe),
        data=QueueInput(flow),
        callbacks=[StopOnFailure(flow)] + _callbacks(recipe, validation) + list(callbacks),
        session_creator=creator,
        session_init=session_init,
        steps_per_epoch=recipe.steps,
        starting_epoch=epoch,
        max_epoch=recipe.epochs,
    )
    if recipe.towers == 1:
        trainer = SimpleTrainer()
    else:
        # Soft placement puts the towers on the CPU where there are fewer GPUs.
        trainer = SyncMultiGPUTrainerParameterServer(list(range(recipe.towers)), ps_device="cpu")
    # Without it a weight may change while backpropagation to the layers below still reads it.
    trainer.GATE_GRADIENTS = True
    return config, trainer


def train(recipe, training, validation, log_name, initial_values=None, resume=False):
    """Train, leaving the last and the best checkpoint in ``train_log/<log_name>/``.

    Args:
        recipe: :class:`~dgl.training.recipe.Recipe`.
        training, validation: :class:`~dgl.data.sample.DataSet`.
        log_name: folder below ``train_log/``.
        initial_values: variable name -> array, or ``None`` to start from random values.
        resume: go on from the last checkpoint in the folder, with its epoch and optimizer state.

    Returns:
        the log folder.

    Raises:
        UserError: the log folder cannot be used, or the processes that decode ended; the last epoch's
            checkpoint is there to resume from.
    """
    folder = open_log(log_name, resume)
    session_init, epoch = _resume_point(folder, recipe.steps) if resume else (None, 1)
    if epoch > recipe.epochs:
        logger.info("%s has all of its %d epochs already.", folder, recipe.epochs)
        return folder
    if session_init is None and initial_values:
        session_init = DictRestore(initial_values)
    if recipe.seed is not None:
        fix_rng_seed(recipe.seed)
        tf.set_random_seed(recipe.seed)
    card = ModelCard(
        mode=recipe.mode,
        image_size=recipe.image_size,
        class_names=training.class_names,
        data_set=training.name,
        last_stride=recipe.options.last_stride,
    )
    write_card(os.path.join(folder, CARD_FILE), card)
    flow = training_flow(
        training.samples,
        recipe.image_size,
        recipe.batch // recipe.towers,
        recipe.workers,
        # A resumed run must not see the first epochs' order again.
        None if recipe.seed is None else recipe.seed + epoch,
    )
    config, trainer = configure(recipe, flow, validation, session_init, epoch)
    launch_train_with_config(config, trainer)
    if isinstance(flow.error, UserError):
        raise UserError("{}; what was trained is kept, go on with --resume".format(flow.error))
    if flow.error is not None:
        raise flow.error
    return folder
